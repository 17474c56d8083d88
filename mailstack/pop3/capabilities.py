"""What CAPA tells (RFC 2449 section 5 and 6, RFC 2595, RFC 3206, RFC 5034, RFC 6856). Neighbour: `session`."""

from mailstack.pop3.questions import Offers
from mailstack.wire.sasl import MECHANISMS


def capabilities(offers: Offers, *, tls_on: bool, tls_offered: bool) -> bytes:
    """The lines of CAPA without its first and last.

    How to log in is told once TLS is on, for no password travels without it; STLS until then.
    """
    expire = "NEVER" if offers.expire_days is None else str(offers.expire_days)
    user = " USER" if offers.differ else ""
    lines = ["TOP", "UIDL"]
    if tls_on:
        lines += ["USER", "SASL " + " ".join(MECHANISMS)]
    elif tls_offered:
        lines.append("STLS")
    lines += ["PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8", "LANG"]
    lines += [f"EXPIRE {expire}{user}", f"LOGIN-DELAY {offers.login_delay_seconds}{user}", "IMPLEMENTATION Mailstack"]
    return "".join(f"{line}\r\n" for line in lines).encode()
