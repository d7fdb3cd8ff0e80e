"""Time zones by name, and the time zone of the machine."""

import datetime as dt
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, ZoneInfoNotFoundError

import pytest

from heliograph._core.schedule import cron
from heliograph.exceptions import ScheduleError
from heliograph.models import CronRule
from heliograph.timing import zones
from heliograph.timing.zones import count_fires, declared_zone, forget_zones, localtime_stamp, next_fire, zone_named

WINTER = dt.datetime(2026, 3, 29, 0, 59, 59, tzinfo=dt.UTC)
SUMMER = WINTER + dt.timedelta(seconds=1)
RULES = "CET-1CEST,M3.5.0,M10.5.0/3"


def is_berlin(zone: dt.tzinfo) -> bool:
    """Check the clock changes of Berlin, to the second."""
    offsets = [moment.astimezone(zone).utcoffset() for moment in (WINTER, SUMMER)]
    return offsets == [dt.timedelta(hours=1), dt.timedelta(hours=2)]


def is_utc(zone: dt.tzinfo) -> bool:
    return [moment.astimezone(zone).utcoffset() for moment in (WINTER, SUMMER)] == [dt.timedelta()] * 2


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine without a configured zone. Returns the path where it would be."""
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(zones, "LOCALTIME", tmp_path / "localtime")
    zones._own.cache_clear()
    yield tmp_path / "localtime"
    zones._own.cache_clear()


def data_of(name: str) -> Path:
    return next(path for path in (Path(root, name) for root in TZPATH) if path.exists())


def test_name_selects_the_zone():
    assert zone_named("Europe/Berlin") is ZoneInfo("Europe/Berlin")
    assert zone_named("UTC") is ZoneInfo("UTC")


@pytest.mark.parametrize(
    "name", [" ", "\n", "\0", "Europe/", "Europe/Berlin ", "Europe/Berlin\0", "\ud800", "x" * 5000, "Europe/Nowhere"]
)
def test_unknown_zone_is_rejected(name):
    """Blanks do not mean the zone of the machine."""
    with pytest.raises(ScheduleError, match="unknown time zone") as caught:
        zone_named(name)
    assert caught.value.value is name
    assert caught.value.__suppress_context__, "the traceback shows what zoneinfo tried"


@pytest.mark.parametrize(
    "name",
    ["../etc/passwd", "/etc/passwd", "/etc/localtime", "Europe/../Europe/Berlin", "zone.tab", "Europe", ".", "+1", 1],
)
def test_path_or_wrong_type_is_rejected(name):
    with pytest.raises(ScheduleError, match="unknown time zone") as caught:
        zone_named(name)
    assert f"time zone: {name!r}" in str(caught.value)


@pytest.mark.parametrize("name", ["US/Eastern", "Asia/Calcutta", "Europe/Kiev", "Japan"])
def test_older_name_that_this_machine_lacks_names_the_package(name, monkeypatch):
    """New releases of Debian and Ubuntu ship such names in a package of their own."""

    def missing(key):
        raise ZoneInfoNotFoundError(key)

    missing.clear_cache = lambda: None
    monkeypatch.setattr(zones, "ZoneInfo", missing)
    with pytest.raises(ScheduleError, match=rf"unknown time zone: '{name}'\..*package tzdata-legacy: install it"):
        zone_named(name)


def test_misspelt_name_gets_a_suggestion():
    with pytest.raises(ScheduleError, match=r"unknown time zone: 'europe/berlin'. Did you mean 'Europe/Berlin'\?"):
        zone_named("europe/berlin")
    with pytest.raises(ScheduleError, match="Use an IANA name such as 'Europe/Berlin'"):
        zone_named("#")


def test_missing_zone_data_names_the_package(monkeypatch):
    monkeypatch.setattr(zones, "available_timezones", set)
    with pytest.raises(ScheduleError, match="install the package tzdata"):
        zone_named("Europe/Nowhere")


@pytest.mark.parametrize("variable", ["Europe/Berlin", ":Europe/Berlin", RULES, f":{RULES}", "MET"])
def test_variable_sets_the_zone_of_the_machine(monkeypatch, variable):
    """To a name or POSIX rules, with the right clock changes."""
    monkeypatch.setenv("TZ", variable)
    assert is_berlin(zone_named(""))


@pytest.mark.parametrize("colon", ["", ":"])
def test_variable_can_be_a_path(monkeypatch, colon):
    monkeypatch.setenv("TZ", f"{colon}{data_of('Europe/Berlin')}")
    assert is_berlin(zone_named(""))


@pytest.mark.parametrize("variable", ["", ":", "UTC", "UTC0"])
def test_empty_variable_is_utc(monkeypatch, machine, variable):
    """As in the C library. The configured zone is not read."""
    machine.symlink_to(data_of("Europe/Berlin"))
    monkeypatch.setenv("TZ", variable)
    assert is_utc(zone_named(""))


def test_default_is_the_configured_zone(machine):
    machine.symlink_to(data_of("Europe/Berlin"))
    assert is_berlin(zone_named(""))
    assert zone_named("") is zone_named("")


def test_machine_without_a_zone_is_in_utc():
    assert is_utc(zone_named(""))


@pytest.mark.parametrize(
    "variable", ["Nowhere", ":Nowhere/At_All", "CET-1CEST", "CET-1CEST,M13.5.0,M10.5.0", "/no/such", "\n1"]
)
def test_invalid_variable_is_rejected(monkeypatch, variable):
    """The C library would use UTC, and every rule would be hours off."""
    monkeypatch.setenv("TZ", variable)
    with pytest.raises(ScheduleError, match="time zone of this machine: TZ=") as caught:
        zone_named("")
    assert repr(variable) in str(caught.value)
    assert caught.value.value == variable


def test_invalid_zone_file_is_rejected(machine):
    machine.write_text("Europe/Berlin")
    with pytest.raises(ScheduleError, match="time zone of this machine: /"):
        zone_named("")


@pytest.mark.parametrize(
    ("variable", "tz", "declared"),
    [
        (None, "", ""),
        (None, "UTC", "UTC"),
        ("Asia/Tokyo", "Europe/Berlin", "Europe/Berlin"),
        ("Asia/Tokyo", "", "Asia/Tokyo"),
        (":Asia/Tokyo", "", "Asia/Tokyo"),
        ("", "", "UTC"),
        (RULES, "", f":{RULES}"),
    ],
)
def test_zone_of_a_declared_rule_is_that_of_the_process(monkeypatch, machine, variable, tz, declared):
    """Another process with another TZ computes the same runs."""
    machine.symlink_to(data_of("Europe/Berlin"))
    if variable is not None:
        monkeypatch.setenv("TZ", variable)
    rule = CronRule("0", "3", "*", "*", "*", declared_zone(tz))
    assert rule.tz == declared
    expected = cron.next_fire(rule, WINTER.timestamp(), zone_named(tz))
    monkeypatch.setenv("TZ", "America/New_York")
    assert next_fire(rule, WINTER.timestamp()) == expected
    assert count_fires(rule, WINTER.timestamp(), expected) == 1


def test_changed_zone_of_the_machine_is_read_after_forget_zones(machine):
    """The stamp shows the change."""
    machine.symlink_to(data_of("UTC"))
    before = localtime_stamp()
    assert is_utc(zone_named(""))
    machine.unlink()
    assert localtime_stamp() is None
    machine.symlink_to(data_of("Europe/Berlin"))
    assert localtime_stamp() not in (None, before)
    assert is_utc(zone_named(""))
    forget_zones()
    assert is_berlin(zone_named(""))
