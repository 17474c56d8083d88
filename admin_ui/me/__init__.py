"""My account: an account owner's first page."""
