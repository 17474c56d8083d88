"""The HTTP API, `/api/v1`: what the panel's pages do, for programs.

`operations` is the table of all that can be done: each noun's file adds its rows, `views` serves them, `openapi`
describes them. They are thin faces on `mailstack/management/`, as the pages are.
"""
