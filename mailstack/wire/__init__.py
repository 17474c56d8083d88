"""CRLF lines, dot-stuffing and SASL: what SMTP and POP3 share on the wire. Pure."""
