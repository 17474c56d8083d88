"""One's own sign-in: password, second steps, sessions."""
