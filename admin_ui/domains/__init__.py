"""Domains: those whose mail we keep, and those whose backup MX we are."""
