"""Line ends of content that was kept on a disk. Neighbour: `operations/mail_import`."""

from collections.abc import Iterable, Iterator


def as_crlf(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The octets with each bare LF made a CRLF, however they were cut; nothing else is touched."""
    held = b""  # a CR whose LF may still come
    for chunk in chunks:
        block = held + chunk
        held = b"\r" if block.endswith(b"\r") else b""
        block = block[: len(block) - len(held)]
        if block:
            yield block.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if held:
        yield held
