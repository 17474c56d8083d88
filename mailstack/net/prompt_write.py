"""Writing a reply at once: for protocols that gather their own small writes and whose client waits for the answer.

Twisted lets a small write over TLS wait for more of them until the next turn of the reactor, and hands octets to the
kernel one turn later still. A reply that is whole gains nothing by either, and a turn costs as much as a small reply: a
fifth of the Python calls of a message fetched over TLS went into it.
"""

from typing import Any

from twisted.internet.tcp import Connection
from twisted.protocols.tls import TLSMemoryBIOProtocol


def write_promptly(transport: Any, data: bytes) -> None:
    """Write to a transport, and let the kernel have now what it takes; the rest goes as ever.

    Not to be mixed with the transport's own `write`, whose small pieces over TLS would come out later.
    """
    socket: Any = transport if isinstance(transport, Connection) else None
    if socket is None:  # a transport of a test
        transport.write(data)
    elif isinstance(socket.protocol, TLSMemoryBIOProtocol):
        TLSMemoryBIOProtocol.write(socket.protocol, data)  # type: ignore[no-untyped-call]
        if socket.connected and not socket.disconnecting:
            socket.doWrite()  # an error shows again when the reactor looks at the socket, and is handled there
    else:
        _write_in_the_clear(socket, data)


def _write_in_the_clear(socket: Any, data: bytes) -> None:
    """Past the reactor while nothing waits before it: to watch the socket and cease to is two system calls a reply."""
    is_clear = socket.connected and not (socket.disconnecting or socket.dataBuffer or socket._tempDataBuffer)
    sent = socket.writeSomeData(data) if is_clear else 0
    if not isinstance(sent, int):
        sent = 0  # the connection is lost: the reactor finds that when it tries
    if sent < len(data):
        socket.write(data[sent:])
