"""What a host has beside its database and mail: config, certificate, key, files with passwords; and back from a backup.

Neighbours: `config` names the files; `store/snapshot` puts them into a backup; `new_host` makes what nobody backed up.
"""

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mailstack.config import Config
from mailstack.config_file import load_config
from mailstack.operations.new_host import CONFIG, HostExists
from mailstack.operations.rights import find_user, give
from mailstack.store import migrate
from mailstack.store.archive import BackupError, read_members, verify_archive
from mailstack.store.content_files import open_private
from mailstack.store.restoring import open_backup

_CONFIG_NAME = "config"
_DATA_LINE = re.compile(r"^[ \t]*data[ \t]*=.*$", re.MULTILINE)


def host_files(config: Config, config_file: Path) -> dict[str, Path]:
    """The files of a host by the setting that names them, as `tls.key`; the config itself is `config`."""
    return {_CONFIG_NAME: config_file, **_named_files(config)}


def _named_files(settings: Any, before: str = "") -> dict[str, Path]:
    found: dict[str, Path] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            found |= _named_files(value, f"{field.name}.")
        elif isinstance(value, Path) and before:  # above the sections there is the data folder
            found[before + field.name] = value
    return found


@contextmanager
def restored_host(source: Path, data: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """Put the files of a backup into a folder; the database and mail are restored inside, by the config that is given.

    The config gets its own name in the end: a folder with one is a whole host. Where the inside fails it can be done
    again. A file that is there already, outside the folder, is left as it is.

    Args:
        source: the backup.
        data: the folder, made when missing.
        environ: what overrides the config.

    Yields:
        The config under its unfinished name.

    Raises:
        HostExists: there is a host.
        BackupError: the backup is damaged, of another version, or has no config.
        ConfigError: the config in the backup cannot be used as it is.
        RightsError: the user whom the config names is not here.
        OSError: the files cannot be written, or not given away.
    """
    if (data / CONFIG).exists():
        raise HostExists(f"{data / CONFIG} is there already; name another folder with --data")
    verify_archive(source)
    kept = _read_files(source)
    if _CONFIG_NAME not in kept:
        raise BackupError(f"{source}: has no config; make a host with `mailstack init`, then restore without --data")
    data.mkdir(mode=0o750, parents=True, exist_ok=True)
    unfinished = data / f"{CONFIG}.new"
    config = _write_config(unfinished, kept.pop(_CONFIG_NAME).decode(), environ)
    owner = find_user(config.user) if config.user and os.geteuid() == 0 else None
    written = _write_files(config, kept)
    yield unfinished
    if owner is not None:
        for path in (data, *data.rglob("*"), *written):
            give(path, owner)
    unfinished.rename(data / CONFIG)


def _read_files(source: Path) -> dict[str, bytes]:
    members = read_members(source)
    open_backup(members, source, migrate.head())
    found: dict[str, bytes] = {}
    for member in members:
        kind, _, name = member.name.partition("/")
        if kind != "file":  # they come first
            return found
        found[name] = member.read()
    return found


def _write_config(path: Path, text: str, environ: Mapping[str, str]) -> Config:
    """Write it, with its own folder as the data folder; relative paths in it mean this folder as well."""
    head, bracket, sections = text.partition("\n[")
    line = 'data = "."'
    if not _DATA_LINE.search(head):
        head = f"{line}\n{head}"
    path.write_text(_DATA_LINE.sub(line, head, count=1) + bracket + sections, encoding="utf-8")
    config = load_config(path, environ)
    if config.data.resolve() != path.parent.resolve():
        raise BackupError(f"{path}: names the data folder {config.data}; unset MAILSTACK_DATA, or mend the file")
    return config


def _write_files(config: Config, kept: Mapping[str, bytes]) -> list[Path]:
    """Write each where the config now says; those that were written."""
    written = []
    for name, path in _named_files(config).items():
        if name in kept and not path.exists():
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            with open(path, "xb", opener=open_private) as file:
                file.write(kept[name])
            written.append(path)
    return written
