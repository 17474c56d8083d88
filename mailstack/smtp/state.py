"""Where the server's side of a session stands; `session` reads on by it, `verbs` says what is legal in it."""

from enum import IntEnum


class State(IntEnum):
    """Where a session stands. (An IntEnum, as its members are looked up for each command.)"""

    CONNECTED = 0  # our greeting has not gone out
    NEW = 1  # EHLO is due
    READY = 2  # no transaction
    MAIL = 3  # a transaction, its content has not begun
    CHUNKS = 4  # a transaction, some of its content came by BDAT
    AUTH = 5  # within a SASL exchange
    DATA = 6  # content comes, up to its dot
    CHUNK = 7  # octets of a BDAT chunk come
    ENDING = 8  # the content is whole
    TLS = 9  # the handshake is due
    CLOSED = 10
