"""A PostgreSQL server for one test session: throw-away, on a Unix socket, from Debian's packages.

PostgreSQL does not run as root; as root it is started for the user `postgres` or `nobody`. `fsync` is off: these tests
are about queries, not about power cuts.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import psycopg2
from sqlalchemy.engine import make_url


class NoPostgres(Exception):
    """Why there is no server: the reason of the skip."""


def find_binaries() -> Path:
    """The folder of `initdb` and `postgres`.

    Raises:
        NoPostgres: there is none.
    """
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    raise NoPostgres("no PostgreSQL server here: apt-get install postgresql (make lab does)")


class PostgresServer:
    """A running server; `make_database` gives a fresh database, empty or a copy of a template."""

    def __init__(self) -> None:
        self._binaries = find_binaries()
        self._as_user = _unprivileged_user()
        self.folder = Path(tempfile.mkdtemp(prefix="mailstack-postgres-", dir="/tmp"))
        self._numbers = count(1)
        self._is_running = False
        if self._as_user:
            os.chown(self.folder, self._as_user.pw_uid, self._as_user.pw_gid)
        try:
            self._run(
                "initdb",
                "-D",
                self._data,
                "-U",
                "mailstack",
                "--auth=trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            )
            self.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        """Start, as it is when made, or again after a `stop`; with the same data."""
        if self._is_running:
            return
        settings = {"listen_addresses": "''", "fsync": "off", "full_page_writes": "off", "max_connections": "60"}
        options = f"-k {self.folder} " + " ".join(f"-c {name}={value}" for name, value in settings.items())
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", self._data, "-w", "-l", log, "-o", options, "start")
        self._is_running = True

    def stop(self) -> None:
        """Stop at once; connections break as they do when a server dies."""
        if self._is_running:
            self._is_running = False
            self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def close(self) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def make_database(self, template: str = "template0") -> str:
        """The URL of a new database."""
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def copy_database(self, url: str) -> str:
        """The URL of a new database that begins as that one stands; nobody may be connected to it."""
        return self.make_database(str(make_url(url).database))

    def drop_database(self, url: str) -> None:
        name = make_url(url).database
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def url(self, name: str) -> str:
        return f"postgresql://mailstack@/{name}?host={self.folder}"

    def _execute(self, statement: str) -> None:
        connection = psycopg2.connect(host=str(self.folder), user="mailstack", dbname="postgres")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def _run(self, program: str, *arguments: str) -> None:
        options: dict[str, object] = {}
        if self._as_user:
            options = {"user": self._as_user.pw_uid, "group": self._as_user.pw_gid, "extra_groups": []}
        done = subprocess.run(  # type: ignore[call-overload]
            [str(self._binaries / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            cwd=self.folder,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
            text=True,
            timeout=60,
            check=False,
            **options,
        )
        if done.returncode:
            log = self.folder / "log"
            why = done.stderr or (log.read_text() if log.exists() else "")
            raise NoPostgres(f"{program} failed: {why[-500:]}")


def _unprivileged_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoPostgres("root, and no user 'postgres' or 'nobody' to run PostgreSQL as")
