"""Time zones by name, and this machine's own."""

from __future__ import annotations

import datetime
import difflib
import os
import struct
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from heliograph.exceptions import ScheduleError

LOCALTIME = Path("/etc/localtime")
"""The machine's zone, as zoneinfo data."""


def zone_named(tz: str) -> datetime.tzinfo:
    """The zone of that IANA name; "" is this machine's own: TZ, else `LOCALTIME`, else UTC.

    Raises `ScheduleError`, which names the value, for anything else.
    """
    return _named(tz) if tz != "" else _own(os.environ.get("TZ"))


def _named(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ScheduleError(f"time zone {tz!r} is unknown{_hint(tz)}", tz) from error


def _hint(tz: str) -> str:
    names = {name.lower(): name for name in available_timezones()}
    if not names:
        return ": this machine has no time zone data; install the package tzdata"
    close = difflib.get_close_matches(str(tz).lower(), names, n=1)
    return f": did you mean {names[close[0]]!r}?" if close else ": use an IANA name such as 'Europe/Berlin'"


@lru_cache(maxsize=8)
def _own(variable: str | None) -> datetime.tzinfo:
    """What TZ says, as the C library reads it: a name, a path, or rules in POSIX's notation; a colon may stand before it."""
    if variable is None:
        return _from_file(LOCALTIME) if LOCALTIME.exists() else ZoneInfo("UTC")
    text = variable.removeprefix(":")
    if not text:
        return ZoneInfo("UTC")
    try:
        return _from_file(Path(text)) if text.startswith("/") else _from_posix(text) or _named(text)
    except (ValueError, OSError) as error:
        raise ScheduleError(f"this machine's time zone, TZ={variable!r}, cannot be read: {error}", variable) from error


def _from_file(path: Path) -> ZoneInfo:
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=str(path))
