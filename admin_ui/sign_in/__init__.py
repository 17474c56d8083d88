"""Signing in and out, second factors, sessions, the set-up of the first administrator."""
