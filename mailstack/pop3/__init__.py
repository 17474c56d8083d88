"""POP3 as a pure protocol (RFC 1939): bytes in, replies and questions out.

`command` reads a line, `session` holds the state table, `maildrop` the numbered snapshot of one log-in, `questions`
is what the session asks of the world, `replies` the texts. Neighbours: `net/pop3_server` moves the bytes, `retrieval`
answers the questions.
"""
