"""Time zones by name, the time zone of this machine, and the runs of cron rules in them."""

from __future__ import annotations

import os
import struct
from datetime import tzinfo
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from heliograph.exceptions import ScheduleError
from heliograph.models import CronRule

LOCALTIME = Path("/etc/localtime")
"""The machine's zone, as zoneinfo data."""

_LEGACY_AREAS = frozenset({"US", "Canada", "Brazil", "Chile", "Mexico"})
_LEGACY_NAMES = frozenset({
    *("Africa/Asmera", "Africa/Timbuktu", "America/Argentina/ComodRivadavia", "America/Atka", "America/Buenos_Aires"),
    *("America/Catamarca", "America/Coral_Harbour", "America/Cordoba", "America/Ensenada", "America/Fort_Wayne"),
    *("America/Godthab", "America/Indianapolis", "America/Jujuy", "America/Knox_IN", "America/Louisville"),
    *("America/Mendoza", "America/Montreal", "America/Nipigon", "America/Pangnirtung", "America/Porto_Acre"),
    *("America/Rainy_River", "America/Rosario", "America/Santa_Isabel", "America/Shiprock", "America/Thunder_Bay"),
    *("America/Virgin", "America/Yellowknife", "Antarctica/South_Pole", "Asia/Ashkhabad", "Asia/Calcutta"),
    *("Asia/Choibalsan", "Asia/Chongqing", "Asia/Chungking", "Asia/Dacca", "Asia/Harbin", "Asia/Istanbul"),
    *("Asia/Kashgar", "Asia/Katmandu", "Asia/Macao", "Asia/Rangoon", "Asia/Saigon", "Asia/Tel_Aviv", "Asia/Thimbu"),
    *("Asia/Ujung_Pandang", "Asia/Ulan_Bator", "Atlantic/Faeroe", "Atlantic/Jan_Mayen", "Australia/ACT"),
    *("Australia/Canberra", "Australia/Currie", "Australia/LHI", "Australia/NSW", "Australia/North"),
    *("Australia/Queensland", "Australia/South", "Australia/Tasmania", "Australia/Victoria", "Australia/West"),
    *("Australia/Yancowinna", "Cuba", "Egypt", "Eire", "Europe/Belfast", "Europe/Kiev", "Europe/Nicosia"),
    *("Europe/Tiraspol", "Europe/Uzhgorod", "Europe/Zaporozhye", "GB", "GB-Eire", "GMT+0", "GMT-0", "GMT0"),
    *("Greenwich", "Hongkong", "Iceland", "Iran", "Israel", "Jamaica", "Japan", "Kwajalein", "Libya", "NZ"),
    *("NZ-CHAT", "Navajo", "PRC", "Pacific/Enderbury", "Pacific/Johnston", "Pacific/Ponape", "Pacific/Samoa"),
    *("Pacific/Truk", "Pacific/Yap", "Poland", "Portugal", "ROC", "ROK", "Singapore", "Turkey", "UCT", "Universal"),
    *("W-SU", "Zulu"),
})  # fmt: skip
"""Older names of the time zone database, which new releases of Debian and Ubuntu ship in a package of their own."""

_HEADER = struct.Struct(">4sc15x6l")
_FIRST_TYPE = struct.Struct(">lbb4s")
"""RFC 8536: the header with its counts, and the first local time type."""


def next_fire(rule: CronRule, after: float) -> float:
    """Return the next time after `after` at which the rule fires in its own zone, both in seconds since 1970."""
    from heliograph._core.schedule.cron import next_fire as next_in  # noqa: PLC0415 - only cron rules need CronSim

    return next_in(rule, after, _zone_of(rule))


def count_fires(rule: CronRule, after: float, until: float) -> int:
    """Return how often the rule fires in its own zone after `after` and until `until`, both in seconds since 1970."""
    from heliograph._core.schedule.cron_counts import count_fires as count_in  # noqa: PLC0415 - as above

    return count_in(rule, after, until, _zone_of(rule))


def declared_zone(tz: str) -> str:
    """Return the zone of a rule that this process declares, so that it means the same in every process.

    `tz` is an IANA name. For "" the result is the zone of this process's variable TZ, with a leading colon if that is
    no IANA name. Without the variable the result is "": `LOCALTIME`, which may change.

    Raises:
        ScheduleError: The name is unknown, or the zone of this machine cannot be read.
    """
    zone_named(tz)
    variable = os.environ.get("TZ")
    if tz != "" or variable is None:
        return tz
    name = variable.removeprefix(":") or "UTC"
    try:
        _named(name)
    except ScheduleError:
        return f":{name}"
    return name


def forget_zones() -> None:
    """Read all zones again when they are needed next."""
    ZoneInfo.clear_cache()
    _own.cache_clear()


def localtime_stamp() -> tuple[int, ...] | None:
    """Return a value that changes when `LOCALTIME` changes. None if it is missing."""
    try:
        found = LOCALTIME.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def zone_named(tz: str) -> tzinfo:
    """Return the zone of an IANA name, the zone of this machine for "", or that of a value of TZ after a colon.

    The variable TZ names the zone of this machine, else the file `LOCALTIME` has it, else it is UTC. It is read once
    for each value of TZ.

    Raises:
        ScheduleError: The name is unknown, or the zone of this machine cannot be read.
    """
    if tz == "":
        return _own(os.environ.get("TZ"))
    return _own(tz) if str(tz).startswith(":") else _named(tz)


def _zone_of(rule: CronRule) -> tzinfo:
    """Return the zone of a declared rule. The variable TZ of this process does not matter."""
    return zone_named(rule.tz) if rule.tz != "" else _own(None)


def _named(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz)
    except (LookupError, ValueError, TypeError, OSError):
        raise ScheduleError(f"unknown time zone: {tz!r}. {_advice(tz)}", tz) from None


def _advice(tz: str) -> str:
    names = {name.lower(): name for name in available_timezones()}
    if not names:
        return "This machine has no time zone data: install the package tzdata."
    if str(tz).partition("/")[0] in _LEGACY_AREAS or str(tz) in _LEGACY_NAMES:
        return "Debian and Ubuntu have this name in the package tzdata-legacy: install it, or tzdata with pip."
    from difflib import get_close_matches  # noqa: PLC0415 - for errors only

    close = get_close_matches(str(tz).lower(), names, n=1)
    return f"Did you mean {names[close[0]]!r}?" if close else "Use an IANA name such as 'Europe/Berlin'."


@lru_cache(maxsize=8)
def _own(variable: str | None) -> ZoneInfo:
    origin = f"{LOCALTIME}" if variable is None else f"TZ={variable!r}"
    try:
        return _from_machine() if variable is None else _from_variable(variable.removeprefix(":"))
    except (ValueError, OSError) as error:
        raise ScheduleError(f"cannot read the time zone of this machine: {origin}. {error}", variable) from error


def _from_machine() -> ZoneInfo:
    return _from_file(LOCALTIME) if LOCALTIME.exists() else ZoneInfo("UTC")


def _from_variable(text: str) -> ZoneInfo:
    """Read TZ as the C library does: a path, a name, or POSIX rules. An empty value is UTC."""
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
    """Return the zone of POSIX rules such as `CET-1CEST,M3.5.0,M10.5.0/3`: zoneinfo data with them as its footer."""
    if not (rules.isprintable() and any(character.isdigit() for character in rules)):
        raise ValueError(_advice(rules))
    nothing, one_type = _HEADER.pack(b"TZif", b"2", *(0,) * 6), _HEADER.pack(b"TZif", b"2", 0, 0, 0, 0, 1, 4)
    data = nothing + one_type + _FIRST_TYPE.pack(0, 0, 0, b"UTC\0") + b"\n" + rules.encode() + b"\n"
    return ZoneInfo.from_file(BytesIO(data), key=rules)
