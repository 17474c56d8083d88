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
        return
    if isinstance(socket.protocol, TLSMemoryBIOProtocol):
        TLSMemoryBIOProtocol.write(socket.protocol, data)  # type: ignore[no-untyped-call]
    else:
        socket.write(data)
    if socket.connected and not socket.disconnecting:
        socket.doWrite()  # an error shows again when the reactor looks at the socket, and is handled there
