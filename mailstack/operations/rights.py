"""Whose rights the server has: it may start as root, bind ports, and become the user who owns the mail.

Neighbours: `serving` becomes the user; `inspection` asks beforehand what that user may touch; `new_host` gives him a
new host.
"""

import grp
import os
import pkgutil
import pwd
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

READ, WRITE, PASS = 4, 2, 1


class RightsError(Exception):
    """The process cannot have the rights it needs; the message says what, why and the mend."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of this machine, with all groups."""

    name: str
    uid: int
    gid: int
    groups: frozenset[int]
    home: str

    def may(self, right: int, path: Path) -> bool:
        """Whether this user may READ or WRITE a file, or a folder with what is in it, and pass all folders above.

        By the modes alone: access control lists are not looked at.
        """
        above = path.absolute().parents
        wanted = right | PASS if path.is_dir() else right
        return all(self._modes(folder) & PASS for folder in above) and self._modes(path) & wanted == wanted

    def _modes(self, path: Path) -> int:
        facts = path.stat()
        shift = 6 if facts.st_uid == self.uid else 3 if facts.st_gid in self.groups else 0
        return READ | WRITE | PASS if self.uid == 0 else facts.st_mode >> shift


def find_user(name: str) -> User:
    """The user of a name.

    Raises:
        RightsError: there is none.
    """
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise RightsError(
            f'there is no user "{name}" here; make it with `useradd --system {name}`, or name another'
        ) from None
    return _with_groups(entry)


def give(path: Path, user: User) -> None:
    """Make a user, and his first group, the owner. Raises OSError."""
    os.chown(path, user.uid, user.gid)


def present_user() -> User:
    """The user who runs this process."""
    try:
        return _with_groups(pwd.getpwuid(os.geteuid()))
    except KeyError:  # a number without a name, as containers have
        return User(str(os.geteuid()), os.geteuid(), os.getegid(), frozenset(os.getgroups()), "/")


def server_user(name: str) -> User:
    """Who the server will be: the user of the config when root starts it, else who starts it. Raises as `find_user`."""
    return find_user(name) if name and os.geteuid() == 0 else present_user()


def become(name: str) -> None:
    """Become a user with his groups, for good; nothing happens when the process is not root or the name is empty.

    All that is ours is imported first, see `load_modules`.

    Raises:
        RightsError: there is no such user.
    """
    if not name or os.geteuid() != 0:
        return
    user = find_user(name)
    load_modules("mailstack", "admin_ui", "encodings", "email")
    os.setgroups(sorted(user.groups))
    os.setgid(user.gid)
    os.setuid(user.uid)
    os.environ["HOME"] = user.home


def load_modules(*packages: str) -> None:
    """Import all modules of some packages, with what they import: Python may lie where only root can read.

    What is missing is missed where it is asked for, with a better word.
    """
    for package in packages:
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}.", onerror=lambda _: None):
            if not module.name.endswith(("__main__", ".wsgi")):  # these two run when they are imported
                with suppress(ImportError):
                    import_module(module.name)


def require_own(data: Path, database: Path | None) -> None:
    """See that this process may write its data.

    Args:
        data: the folder of the host.
        database: the file of the database, if it is one.

    Raises:
        RightsError: it may not.
    """
    for path in (data, database):
        if path is not None and path.exists() and not os.access(path, os.W_OK):
            name = present_user().name
            raise RightsError(f"{path} cannot be written to by the user {name}; `chown -R {name}: {data}` mends it")


def _with_groups(entry: pwd.struct_passwd) -> User:
    groups = {group.gr_gid for group in grp.getgrall() if entry.pw_name in group.gr_mem}
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, frozenset(groups | {entry.pw_gid}), entry.pw_dir)
