"""Sizes, times and numbers as people read them: the template filters `size`, `when`, `number`, …

Times are shown in UTC, with how long ago or ahead they are.
"""

from datetime import UTC, datetime, timedelta

from flask import Flask
from markupsafe import Markup

from mailstack.management.acts import for_people

_UNITS = ("octets", "KB", "MB", "GB", "TB")
_STEPS = (
    (timedelta(minutes=1), timedelta(seconds=1), "second"),
    (timedelta(hours=1), timedelta(minutes=1), "minute"),
    (timedelta(days=1), timedelta(hours=1), "hour"),
    (timedelta(days=60), timedelta(days=1), "day"),
    (timedelta(days=730), timedelta(days=30), "month"),
    (timedelta.max, timedelta(days=365), "year"),
)


def size(octets: int | None) -> str:
    """`1.5 GB`; units are steps of 1024, as in quotas."""
    if octets is None:
        return "no bound"
    value = float(octets)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 10 or unit == "octets" else f"{value:.1f} {unit}"


def span(length: timedelta) -> str:
    """`3 hours`: a length of time in its largest unit."""
    for below, unit, name in _STEPS:
        if length < below:
            count = length // unit
            return f"{count} {name}{'' if count == 1 else 's'}"
    raise AssertionError("unreachable")


def ago(moment: datetime, now: datetime) -> str:
    """`3 hours ago`, `in 5 minutes`, `just now`."""
    length = abs(now - moment)
    if length < timedelta(seconds=5):
        return "just now"
    return f"{span(length)} ago" if moment < now else f"in {span(length)}"


def when(moment: datetime | None, nothing: str = "never") -> Markup | str:
    """A time as a relative one, with the exact one on hovering."""
    if moment is None:
        return nothing
    exact = moment.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.isoformat(timespec="seconds"), exactly(exact), ago(exact, datetime.now(UTC))
    )


def exactly(moment: datetime) -> str:
    """`2026-11-25 02:55:10 UTC`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def moment(at: datetime) -> Markup:
    """A time as an exact one."""
    return Markup('<time datetime="{}">{}</time>').format(at.astimezone(UTC).isoformat(timespec="seconds"), exactly(at))


def from_iso(text: str) -> datetime:
    """A time as `management` tells it in JSON."""
    return datetime.fromisoformat(text)


def browser(agent: str) -> str:
    """What a browser calls itself, in two words: `Firefox on Linux`."""
    names = ("Edg", "OPR", "Firefox", "Chrome", "Safari", "curl")
    systems = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")
    name = next((one for one in names if one in agent), "")
    system = next((one for one in systems if one in agent), "")
    known = {"Edg": "Edge", "OPR": "Opera"}.get(name, name) or agent[:40] or "unknown"
    return f"{known} on {system}" if system else known


def number(value: int) -> str:
    """`12,345`."""
    return f"{value:,}"


def counted(value: int, noun: str, many: str = "") -> str:
    """`1 account`, `2 aliases`; `many` is the plural where an s is not enough."""
    return f"{number(value)} {noun if value == 1 else many or noun + 's'}"


def add_filters(app: Flask) -> None:
    """Make them known to templates."""
    for filter_ in (size, span, when, moment, exactly, from_iso, number, counted, browser, for_people):
        app.add_template_filter(filter_)
