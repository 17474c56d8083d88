"""kill -9 in the middle of an import, again and again, beside a server that takes mail: all is there, and once."""

import signal
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select

from mailstack.store.database import Database
from mailstack.store.schema import maildrop_entry
from tests.faults.conftest import LOCAL
from tests.host import Host, command_line, send, wait_until

MAILS = 2500
EACH_LARGE = 50
"""Every so many are larger than what rides in the database."""
KILLS = 4
FROM_LINE = "From ann@example.org Wed Nov 25 07:01:12 2026\n"


def make_maildir(folder: Path) -> None:
    for part in ("cur", "new", "tmp"):
        (folder / part).mkdir(parents=True)
    for number in range(MAILS):
        (folder / "cur" / f"17{number:08}.M{number}.mx:2,S").write_text(mail(number))


def make_mbox(path: Path) -> None:
    path.write_text("".join(f"{FROM_LINE}{mail(number)}\n" for number in range(MAILS)))


def mail(number: int) -> str:
    """Some are equal to others, as mailboxes of people are."""
    lines = 20_000 if number % EACH_LARGE == 0 else 20
    return f"Subject: mail {number // 2}\n\n" + "line\n" * lines


@pytest.mark.parametrize(
    ("kind", "make", "on"),
    [
        ("maildir", make_maildir, "sqlite"),
        ("mbox", make_mbox, "sqlite"),
        pytest.param("mbox", make_mbox, "postgresql", marks=pytest.mark.lab),
    ],
)
def test_an_import_that_is_killed_is_repeated(
    tmp_path: Path, kind: str, make: Callable[[Path], None], on: str, request: pytest.FixtureRequest
) -> None:
    host: Host = request.getfixturevalue(f"{on}_host")
    source = tmp_path / "source"
    make(source)
    arguments = ["import", kind, str(source), "--account", LOCAL]
    with host.start(), closing(database_of(host)) as database:
        for _ in range(KILLS):
            kill_midway([*command_line(), "--config", str(host.config), *arguments], host, database)
            with host.mx() as session:
                send(session, "", [LOCAL], b"Subject: arrived\r\n\r\nmeanwhile\r\n")
        assert "there already" in host.command(*arguments)
        kept = sorted(host.fetch(LOCAL))
        assert [one for one in kept if b"Subject: arrived" not in one] == sorted(
            mail(number).replace("\n", "\r\n").encode() for number in range(MAILS)
        )
        assert len(kept) == MAILS + KILLS
        assert host.json("account", "show", LOCAL)["messages"] == MAILS + KILLS


def kill_midway(command: list[str], host: Host, database: Database) -> None:
    """Start it, and kill it as soon as it has put something in."""
    before = count(database)
    with subprocess.Popen(command, env=host.environment(), stdout=subprocess.DEVNULL) as run:
        wait_until(lambda: count(database) > before or run.poll() is not None, "the import goes on", every=0.005)
        run.kill()
    assert run.returncode == -signal.SIGKILL, "it ended before it was killed"


def database_of(host: Host) -> Database:
    return Database.open(str(host.settings.get("database", "sqlite:///mailstack.db")), host.folder)


def count(database: Database) -> int:
    query = select(func.count()).select_from(maildrop_entry)
    return database.read_now(lambda connection: connection.scalar(query)) or 0
