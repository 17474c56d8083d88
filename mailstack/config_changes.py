"""What differs between two configs, and what of it a running host takes without a restart.

Neighbours: `config` has the settings, `app.py` hands those taken to the parts.
"""

from dataclasses import fields, is_dataclass, replace
from typing import Any

from mailstack.config import Config

TAKEN_LIVE = ("tls", "smtp", "pop3", "queue", "limits")
"""The sections that parts take while they run. The rest is bound, opened or handed out once, at the start."""


def take_live(running: Config, wanted: Config) -> Config:
    """The running config with what can be taken of the wanted one."""
    return replace(running, **{section: getattr(wanted, section) for section in TAKEN_LIVE})


def changed(before: Any, after: Any, prefix: str = "") -> list[str]:
    """The names of the settings that differ: `hostname`, `smtp.max_recipients`."""
    names = []
    for field in fields(before):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if is_dataclass(old):
            names += changed(old, new, f"{prefix}{field.name}.")
        elif old != new:
            names.append(prefix + field.name)
    return names
