"""Queue IDs: the public name of a message in replies, Received, logs, `queue` and `trace`.

An M and fourteen characters of Crockford's base 32: 45 bits of milliseconds, so that IDs sort by time and lie near
one another in an index, then 25 random bits. The M keeps an ID from being taken for a number.
"""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def make_queue_id(now_seconds: float, random_bits: int) -> str:
    """The ID for a moment (seconds since 1970, UTC) and at least 25 random bits."""
    value = (int(now_seconds * 1000) & ((1 << 45) - 1)) << 25 | random_bits & ((1 << 25) - 1)
    digits = []
    for _ in range(14):
        digits.append(_ALPHABET[value & 31])
        value >>= 5
    return "M" + "".join(reversed(digits))
