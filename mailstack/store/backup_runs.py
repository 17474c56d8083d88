"""How the last backups went, kept among the host's settings, and whether that is too long ago.

Neighbours: `cli/backup` tells of each run; `operations/inspection` and `management/home` ask.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from mailstack.store.schema import domain, from_micros
from mailstack.store.settings import find_setting, put_setting

OLD_AFTER = timedelta(days=2)
MEND = "make one each day with `mailstack backup FILE`"
_LAST, _LAST_GOOD = "backup.last", "backup.last_good"


@dataclass(frozen=True, slots=True)
class BackupRun:
    """A run of `mailstack backup`."""

    ended_at: int
    """Microseconds since 1970."""
    place: str
    size_octets: int | None
    """None = it failed."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class BackupRuns:
    """What is known of the runs on this host."""

    last: BackupRun | None
    last_good: BackupRun | None

    def trouble(self, now: datetime) -> str:
        """What is wrong, as "the last backup is 3 days old"; empty when it is young enough."""
        if self.last_good is None:
            return "no backup was ever made"
        age = now - from_micros(self.last_good.ended_at)
        return f"the last backup is {age.days} days old" if age >= OLD_AFTER else ""

    @property
    def error(self) -> str:
        """Why the last run failed; empty when it did not."""
        return self.last.error if self.last else ""


def remember_run(connection: Connection, run: BackupRun) -> None:
    """Keep how a run went."""
    value = json.dumps(asdict(run))
    put_setting(connection, _LAST, value)
    if not run.error:
        put_setting(connection, _LAST_GOOD, value)


def backup_runs(connection: Connection) -> BackupRuns:
    """The last runs."""
    return BackupRuns(_find(connection, _LAST), _find(connection, _LAST_GOOD))


def backup_trouble(connection: Connection, now: datetime) -> tuple[str, str]:
    """`BackupRuns.trouble` and `.error`; both empty as long as the host has no domain, and so nothing to lose."""
    if connection.scalar(select(domain.c.id).limit(1)) is None:
        return "", ""
    runs = backup_runs(connection)
    return runs.trouble(now), runs.error


def _find(connection: Connection, name: str) -> BackupRun | None:
    value = find_setting(connection, name)
    return BackupRun(**json.loads(value)) if value else None
