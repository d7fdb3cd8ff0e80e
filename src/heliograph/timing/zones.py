"""Time zones by name, and this machine's own."""

from __future__ import annotations

import difflib
import os
import struct
from datetime import tzinfo
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from heliograph.exceptions import ScheduleError

LOCALTIME = Path("/etc/localtime")
"""The machine's zone, as zoneinfo data."""

_HEADER = struct.Struct(">4sc15x6l")
_FIRST_TYPE = struct.Struct(">lbb4s")
"""RFC 8536: the header (how many of each thing follow), and the offset that comes first."""


def zone_named(tz: str) -> tzinfo:
    """The zone of that IANA name; "" is this machine's own: what TZ says, else `LOCALTIME`, else UTC.

    Raises `ScheduleError`, which names the value, for anything else. The machine's own is read once per value of TZ.
    """
    return _named(tz) if tz != "" else _own(os.environ.get("TZ"))


def _named(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz)
    except (LookupError, ValueError, TypeError, OSError) as error:
        raise ScheduleError(f"time zone {tz!r} is unknown: {_advice(tz)}", tz) from error


def _advice(tz: str) -> str:
    names = {name.lower(): name for name in available_timezones()}
    if not names:
        return "this machine has no time zone data; install the package tzdata"
    close = difflib.get_close_matches(str(tz).lower(), names, n=1)
    return f"did you mean {names[close[0]]!r}?" if close else "use an IANA name such as 'Europe/Berlin'"


@lru_cache(maxsize=8)
def _own(variable: str | None) -> ZoneInfo:
    said = f"{LOCALTIME}" if variable is None else f"TZ={variable!r}"
    try:
        return _from_machine() if variable is None else _from_variable(variable.removeprefix(":"))
    except (ValueError, OSError) as error:
        raise ScheduleError(f"this machine's time zone, {said}, cannot be read: {error}", variable) from error


def _from_machine() -> ZoneInfo:
    return _from_file(LOCALTIME) if LOCALTIME.exists() else ZoneInfo("UTC")


def _from_variable(text: str) -> ZoneInfo:
    """What TZ says, as the C library reads it: a path, a name, or POSIX's rules; nothing is UTC."""
    if text.startswith("/"):
        return _from_file(Path(text))
    try:
        return ZoneInfo(text or "UTC")
    except (LookupError, ValueError, OSError):
        return _from_rules(text)


def _from_file(path: Path) -> ZoneInfo:
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=str(path))


def _from_rules(rules: str) -> ZoneInfo:
    """The zone of rules such as `CET-1CEST,M3.5.0,M10.5.0/3`: zoneinfo data that ends with them, nothing before."""
    if not (rules.isprintable() and any(character.isdigit() for character in rules)):
        raise ValueError(_advice(rules))
    nothing, one_type = _HEADER.pack(b"TZif", b"2", *(0,) * 6), _HEADER.pack(b"TZif", b"2", 0, 0, 0, 0, 1, 4)
    data = nothing + one_type + _FIRST_TYPE.pack(0, 0, 0, b"UTC\0") + b"\n" + rules.encode() + b"\n"
    return ZoneInfo.from_file(BytesIO(data), key=rules)
