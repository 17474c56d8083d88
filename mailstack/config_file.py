"""Reads the TOML file and the environment into `config.Config`; each mistake is one line: where, what and the mend.

Driven by the dataclasses of `config`: a new setting is a new field there and nothing here. An environment variable
`MAILSTACK_SECTION__KEY` (or `MAILSTACK_KEY` above the sections) wins over the file; lists are comma-separated in it.
"""

import difflib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from mailstack.config import Config, Network
from mailstack.config_values import (
    parse_duration,
    parse_endpoint,
    parse_host_port,
    parse_hostname,
    parse_ip,
    parse_name_server,
    parse_port,
    parse_size,
)

PREFIX = "MAILSTACK_"
DEFAULT_PLACES = (Path("mailstack.toml"), Path("/etc/mailstack/mailstack.toml"))
_NOT_SETTINGS = frozenset({"MAILSTACK_CONFIG", "MAILSTACK_DEBUG"})
_MANY_SECONDS = 315_360_000  # ten years: more is a slip of the pen


class ConfigError(Exception):
    """The config cannot be used; the message says where, what and the mend, in one line."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A value as it was found, and where."""

    value: Any
    place: str
    from_environment: bool = False

    def refuse(self, why: str) -> NoReturn:
        """Raise the ConfigError that tells the place and the reason."""
        raise ConfigError(f"{self.place}: {why}")


def find_config(named: str | None, environ: Mapping[str, str]) -> Path:
    """The config file: the one named, else MAILSTACK_CONFIG, else the first default place that has one.

    Raises:
        ConfigError: there is none.
    """
    chosen = named or environ.get("MAILSTACK_CONFIG")
    if chosen:
        if not Path(chosen).is_file():
            raise ConfigError(f"{chosen}: there is no such config file; name another or make one with `mailstack init`")
        return Path(chosen)
    for place in DEFAULT_PLACES:
        if place.is_file():
            return place
    places = " or ".join(str(place) for place in DEFAULT_PLACES)
    raise ConfigError(f"no config file ({places}); name one with --config, or make one with `mailstack init`")


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """The settings of a file and the environment, all paths absolute; relative ones begin where a linked file truly is.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, a value is wrong.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check its owner and mode") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML ({error}); mend that line") from None
    found = {key: Setting(value, f"{path}: {key}") for key, value in table.items()}
    _overlay_environment(found, environ)
    folder = path.resolve().parent
    return _settle(_build(Config, found, f"{path}", folder), found)


def _overlay_environment(found: dict[str, Setting], environ: Mapping[str, str]) -> None:
    """Put the settings of the environment above those of the file."""
    known = [field.name for field in fields(Config)]
    for variable in sorted(set(environ) - _NOT_SETTINGS):
        if not variable.startswith(PREFIX):
            continue
        section, nested, key = variable.removeprefix(PREFIX).lower().partition("__")
        setting = Setting(environ[variable], variable, from_environment=True)
        if nested:
            below = found.setdefault(section, Setting({}, variable))
            if not isinstance(below.value, dict):
                below.refuse(f"is a section; write its keys below a line [{section}]")
            found[section] = replace(below, value={**below.value, key: setting})
        elif section in known:
            found[section] = setting
        elif difflib.get_close_matches(section, known, 1, 0.8):  # else it is somebody else's variable
            setting.refuse(f"unknown setting{_nearest(section, known, lambda near: PREFIX + near.upper())}")


def _build(kind: type[Any], found: Mapping[str, Setting], place: str, folder: Path) -> Any:
    """An instance of a settings dataclass from what was found for its fields."""
    hints = get_type_hints(kind, include_extras=True)
    for key, setting in found.items():
        if key not in hints:
            setting.refuse(f"unknown setting{_nearest(key, list(hints))}")
    values = {}
    for field in fields(kind):
        hint = hints[field.name]
        if field.name in found:
            values[field.name] = _read(found[field.name], hint, folder)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f'{place}: {field.name} is missing; add a line {field.name} = "…"')
        elif isinstance(field.default, Path):
            values[field.name] = folder / field.default
        elif isinstance(hint, type) and is_dataclass(hint):
            values[field.name] = _build(hint, {}, place, folder)
    return kind(**values)


def _nearest(key: str, known: list[str], write: Callable[[str], str] = str) -> str:
    (nearest,) = difflib.get_close_matches(key, known, 1, 0.0)
    told = f"; the nearest known one is {write(nearest)}"
    if difflib.SequenceMatcher(None, key, nearest).ratio() >= 0.5:
        return told
    return f"{told}, all are {', '.join(write(name) for name in known)}"


def _read(setting: Setting, hint: Any, folder: Path) -> Any:
    """The value of a setting as its type wants it."""
    if isinstance(hint, type) and is_dataclass(hint):
        return _read_section(setting, hint, folder)
    if get_origin(hint) is tuple:
        return tuple(_read(item, get_args(hint)[0], folder) for item in _items(setting))
    if get_origin(hint) is Literal:
        return _choice(setting, get_args(hint))
    if type(None) in get_args(hint):
        inner = next(part for part in get_args(hint) if part is not type(None))
        return None if setting.value == "" else _read(setting, inner, folder)
    if get_origin(hint) is Annotated:
        return _BY_MEANING[get_args(hint)[1]](setting)
    return folder / _text(setting, _parse_path) if hint is Path else _BY_TYPE[hint](setting)


def _read_section(setting: Setting, kind: type[Any], folder: Path) -> Any:
    if not isinstance(setting.value, dict):
        setting.refuse("is a section; write its keys below a line in [brackets]")
    below = {
        key: value if isinstance(value, Setting) else Setting(value, f"{setting.place}.{key}")
        for key, value in setting.value.items()
    }
    return _build(kind, below, setting.place, folder)


def _items(setting: Setting) -> list[Setting]:
    value = setting.value
    if setting.from_environment:
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        setting.refuse(f'needs a list; write it in brackets, like ["{value}"]')
    return [replace(setting, value=item) for item in value]


def _text(setting: Setting, parse: Callable[[str], Any]) -> Any:
    if not isinstance(setting.value, str):
        setting.refuse(f"{setting.value!r} is not a text; write it in quotes")
    try:
        return parse(setting.value)
    except ValueError as error:
        setting.refuse(str(error))


def _text_or_empty(parse: Callable[[str], str]) -> Callable[[Setting], str]:
    return lambda setting: "" if setting.value == "" else str(_text(setting, parse))


def _parse_network(text: str) -> Any:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f'"{text}" is not a network ({error}); write it like 10.0.0.0/8 or fc00::/7') from None


def _parse_path(text: str) -> Path:
    if not text:
        raise ValueError("is empty; name a path")
    return Path(text).expanduser()


def _whole(setting: Setting, least: int, parse: Callable[[str], int] | None = None) -> int:
    """A whole number; from the environment, or where a size may be written with a unit, as a text."""
    value = setting.value
    if isinstance(value, str) and (parse or (setting.from_environment and value.isdigit())):
        value = _text(setting, parse or int)
    if not isinstance(value, int) or isinstance(value, bool):
        setting.refuse(f"{setting.value!r} is not a whole number; write it without quotes, like 100")
    if value < least:
        setting.refuse(f"{setting.value!r} is too small; the least is {least}")
    return value


def _choice(setting: Setting, words: tuple[str, ...]) -> str:
    if setting.value not in words:
        setting.refuse(f"{setting.value!r} is not known; write {' or '.join(json.dumps(word) for word in words)}")
    return str(setting.value)


def _port(setting: Setting) -> int:
    return int(_text(replace(setting, value=str(setting.value)), parse_port))


def _boolean(setting: Setting) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    value = setting.value
    if setting.from_environment:
        value = words.get(value.lower(), value)
    if not isinstance(value, bool):
        setting.refuse(f"{value!r} is neither true nor false; write one of them, without quotes")
    return value


def _duration(setting: Setting) -> timedelta:
    value = setting.value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MANY_SECONDS:
        return timedelta(seconds=value)
    if not isinstance(value, str):
        setting.refuse(f"{value!r} is not a duration; write it like 30s, 5m, 4h or 5d, in quotes")
    result: timedelta = _text(setting, parse_duration)
    return result


_BY_TYPE: dict[Any, Callable[[Setting], Any]] = {
    Network: lambda setting: _text(setting, _parse_network),
    str: lambda setting: _text(setting, str),
    int: lambda setting: _whole(setting, 0),
    bool: _boolean,
    timedelta: _duration,
}
_BY_MEANING: dict[str, Callable[[Setting], Any]] = {
    "octets": lambda setting: _whole(setting, 1, parse_size),
    "count": lambda setting: _whole(setting, 1),
    "port": _port,
    "endpoint": lambda setting: _text(setting, parse_endpoint),
    "host and port": _text_or_empty(parse_host_port),
    "name server": lambda setting: _text(setting, parse_name_server),
    "address": _text_or_empty(parse_ip),
}


def _settle(config: Config, found: Mapping[str, Setting]) -> Config:
    """The checks and the absolute places that concern single settings by name."""
    hostname = _text(found["hostname"], parse_hostname)
    if not config.queue.retry or min(config.queue.retry) <= timedelta(0):
        raise ConfigError(f'{_place(found, "queue", "retry")}: needs at least one time above zero, like ["5m"]')
    if config.smtp.soft_errors > config.smtp.hard_errors:
        raise ConfigError(f"{_place(found, 'smtp', 'soft_errors')}: must not be above hard_errors; lower it")
    return replace(
        config,
        hostname=hostname,
        database=_database_url(config, found),
        content=_content_place(config, found),
    )


def _place(found: Mapping[str, Setting], section: str, key: str) -> str:
    inside = found[section]
    value = inside.value.get(key)
    return value.place if isinstance(value, Setting) else f"{inside.place}.{key}"


def _database_url(config: Config, found: Mapping[str, Setting]) -> str:
    """The database as SQLAlchemy names it, an SQLite file by its absolute path."""
    scheme, _, rest = config.database.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return f"sqlite:///{config.data / rest.removeprefix('/')}"
    if not rest or scheme.partition("+")[0] != "postgresql":
        why = f'"{config.database}" is no database we know'
        found["database"].refuse(f"{why}; write sqlite:///mailstack.db or postgresql://user@host/name")
    return config.database


def _content_place(config: Config, found: Mapping[str, Setting]) -> str:
    if config.content.startswith("s3://"):
        found["content"].refuse("an S3 bucket is not supported by this version; name a folder")
    if not config.content:
        found["content"].refuse('is empty; name a folder, like "content"')
    return str(config.data / config.content)
