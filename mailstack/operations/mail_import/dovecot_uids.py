"""The UIDLs that a Dovecot has told POP3 clients of a Maildir, from its file `dovecot-uidlist`.

Version 3: a line `3 V<uidvalidity> N<next uid> …`, then for each message `<uid> [<letter><value> …] :<file name>`,
where P is a UIDL that Dovecot keeps whatever its format says, and G a GUID. Version 1: `1 <uidvalidity> <next uid>`,
then `<uid> <file name>`. Neighbour: `maildir`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from mailstack.mail.source_message import SourceError

FILE = "dovecot-uidlist"
DEFAULT_FORMAT = "%08Xu%08Xv"
"""Dovecot's `pop3_uidl_format`, unless somebody changed it."""
_VARIABLE = re.compile(r"%(?:0(\d\d?))?(X?)([uvfg])")


@dataclass(frozen=True, slots=True)
class DovecotUid:
    """What Dovecot knows of one message."""

    uid: int
    unique_id: str


def read_uidlist(folder: Path, uidl_format: str = DEFAULT_FORMAT) -> dict[str, DovecotUid]:
    """The messages of a Maildir by their file names without flags; empty when Dovecot never was there.

    Raises:
        SourceError: the file, or the format, cannot be understood.
        OSError: the file cannot be read.
    """
    check_format(uidl_format)
    path = folder / FILE
    if not path.exists():
        return {}
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        head = lines.readline().split()
        validity = _read_validity(head)
        if validity is None:
            raise SourceError(f"{path}: its first line is none of Dovecot's; move it away to import without UIDLs")
        found = {}
        for line in lines:
            name, known = _read_line(line.rstrip("\n"), head[0], validity, uidl_format)
            if known is not None:
                found[name] = known  # a later line stands for a message that was renumbered
    return found


def check_format(uidl_format: str) -> None:
    """Raise SourceError for a format with variables that only Dovecot itself can fill in."""
    if "%" in _VARIABLE.sub("", uidl_format) or not _VARIABLE.search(uidl_format):
        raise SourceError(
            f'the UIDL format "{uidl_format}" has a variable other than %u, %v, %f and %g; set `pop3_save_uidl = yes` '
            "in Dovecot, fetch all UIDLs once, then import again"
        )


def _read_validity(head: list[str]) -> int | None:
    if head[:1] == ["1"] and len(head) == 3 and head[1].isdecimal():
        return int(head[1])
    if head[:1] == ["3"]:
        return next((int(word[1:]) for word in head[1:] if word[0] == "V" and word[1:].isdecimal()), None)
    return None


def _read_line(line: str, version: str, validity: int, uidl_format: str) -> tuple[str, DovecotUid | None]:
    """File name without flags, and what is known of it; None = the line cannot be understood."""
    number, _, rest = line.partition(" ")
    words, colon, name = ("", ":", rest) if version == "1" else rest.partition(":")
    if not number.isdecimal() or not colon:
        return "", None
    values = {word[0]: word[1:] for word in words.split()}
    base = name.partition(":")[0]
    told: dict[str, int | str] = {"u": int(number), "v": validity, "f": base, "g": values.get("G", base)}
    return base, DovecotUid(int(number), values.get("P") or _fill_in(uidl_format, told))


def _fill_in(uidl_format: str, told: dict[str, int | str]) -> str:
    def one(found: re.Match[str]) -> str:
        width, is_hex, letter = found.groups()
        value = told[letter]
        text = f"{value:x}" if is_hex and isinstance(value, int) else str(value)
        return text.rjust(int(width or 0), "0")

    return _VARIABLE.sub(one, uidl_format)
