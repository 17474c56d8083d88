"""Reception: answers the SMTP server's questions, and takes a message in with one commit."""
