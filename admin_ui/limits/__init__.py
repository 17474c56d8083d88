"""Sending limits: the rules with what stands against them, what they hold, and frozen accounts."""
