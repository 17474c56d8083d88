"""Aliases: addresses that mean other addresses, and catch-alls."""
