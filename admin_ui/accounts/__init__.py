"""Accounts: who has a mailbox here and may send."""
