"""Numbers, durations and times as short texts for people."""

from __future__ import annotations

from datetime import UTC, datetime

from heliograph.web.markup import Markup, element

NONE = "\N{EN DASH}"
"""Stands for a value that does not exist."""

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))
_BYTES = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def duration(seconds: float | None) -> str:
    """Return `380 µs`, `12.4 ms`, `3.2 s`, `2 min 5 s`, `4 h 10 min` and so on."""
    if seconds is None:
        return NONE
    seconds = max(seconds, 0.0)
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.1f} s" if seconds < 10 else whole(seconds)


def whole(seconds: float) -> str:
    """Return a duration without parts of a second. The script of the page writes the same texts."""
    left = max(int(seconds), 0)
    for size, unit in _UNITS:
        if left >= size:
            smaller, name = {"d": (3600, "h"), "h": (60, "min"), "min": (1, "s")}[unit]
            rest = left % size // smaller
            return f"{left // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{left} s"


def count(number: float) -> str:
    """Return a whole number with commas."""
    return f"{number:,.0f}"


def rate(number: float | None) -> str:
    """Return a number per second."""
    if number is None:
        return NONE
    return f"{number:,.0f}/s" if number >= 100 or number == int(number) else f"{number:.2g}/s"


def size(number: int | None) -> str:
    """Return a number of bytes as `12.3 MiB`."""
    if number is None:
        return NONE
    for unit, factor in _BYTES:
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} B"


def moment(at: float) -> str:
    """Return a time in UTC."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return NONE


def clock(at: float, now: float) -> str:
    """Return the time of day in UTC, with the date if that is another one."""
    text = moment(at)
    return text.partition(" ")[2] if text[:10] == moment(now)[:10] else text


def age(at: float | None, now: float) -> Markup:
    """Return the time since a moment, which the script of the page keeps up to date."""
    if at is None:
        return Markup(NONE)
    return element("time", whole(now - at), data_since=f"{at:.3f}", title=moment(at))


def until(at: float | None, now: float) -> Markup:
    """Return the time until a moment, which the script of the page keeps up to date."""
    if at is None:
        return Markup(NONE)
    return element("time", f"in {whole(at - now)}", data_until=f"{at:.3f}", title=moment(at))
