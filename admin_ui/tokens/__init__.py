"""Tokens of the HTTP API: made, seen, revoked; and a page of examples."""
