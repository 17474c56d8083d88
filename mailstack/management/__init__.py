"""What an administrator can do, one file per noun; the command line, the panel and the HTTP API are thin faces on it.

Each act is a function over a `Connection` inside a transaction (`Database.write_now`, `read_now`, or their awaited
forms). It checks the actor's role, writes the audit log and, where mail flow must notice, moves the directory's
version, all in that transaction. What cannot be done is a `Refused` with what, why and the mend in one line.
"""
