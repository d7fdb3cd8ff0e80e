"""Zones by name, and this machine's own."""

import datetime as dt
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

import pytest

from heliograph.exceptions import ScheduleError
from heliograph.timing import zones
from heliograph.timing.zones import zone_named

WINTER = dt.datetime(2026, 3, 29, 0, 59, 59, tzinfo=dt.UTC)
SUMMER = WINTER + dt.timedelta(seconds=1)
RULES = "CET-1CEST,M3.5.0,M10.5.0/3"


def is_berlin(zone: dt.tzinfo) -> bool:
    """With its change of the clock, to the second."""
    offsets = [moment.astimezone(zone).utcoffset() for moment in (WINTER, SUMMER)]
    return offsets == [dt.timedelta(hours=1), dt.timedelta(hours=2)]


def is_utc(zone: dt.tzinfo) -> bool:
    return [moment.astimezone(zone).utcoffset() for moment in (WINTER, SUMMER)] == [dt.timedelta()] * 2


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine that says nothing of its zone; the path is where it would."""
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(zones, "LOCALTIME", tmp_path / "localtime")
    zones._own.cache_clear()
    yield tmp_path / "localtime"
    zones._own.cache_clear()


def data_of(name: str) -> Path:
    return next(path for path in (Path(root, name) for root in TZPATH) if path.exists())


def test_a_name_is_that_zone():
    assert zone_named("Europe/Berlin") is ZoneInfo("Europe/Berlin")
    assert zone_named("UTC") is ZoneInfo("UTC")


@pytest.mark.parametrize(
    "name", [" ", "\n", "\0", "Europe/", "Europe/Berlin ", "Europe/Berlin\0", "\ud800", "x" * 5000, "Europe/Nowhere"]
)
def test_what_is_no_zone_is_refused(name):
    """Blanks are not the machine's own zone."""
    with pytest.raises(ScheduleError, match="is unknown") as caught:
        zone_named(name)
    assert caught.value.value is name


@pytest.mark.parametrize(
    "name",
    ["../etc/passwd", "/etc/passwd", "/etc/localtime", "Europe/../Europe/Berlin", "zone.tab", "Europe", ".", "+1", 1],
)
def test_what_is_a_path_or_no_text_is_refused(name):
    with pytest.raises(ScheduleError, match="is unknown") as caught:
        zone_named(name)
    assert f"time zone {name!r}" in str(caught.value)


def test_a_misspelt_name_is_told_the_right_one():
    with pytest.raises(ScheduleError, match=r"'europe/berlin' is unknown: did you mean 'Europe/Berlin'\?"):
        zone_named("europe/berlin")
    with pytest.raises(ScheduleError, match="use an IANA name such as 'Europe/Berlin'"):
        zone_named("#")


def test_without_zone_data_the_package_is_named(monkeypatch):
    monkeypatch.setattr(zones, "available_timezones", set)
    with pytest.raises(ScheduleError, match="install the package tzdata"):
        zone_named("Europe/Nowhere")


@pytest.mark.parametrize("variable", ["Europe/Berlin", ":Europe/Berlin", RULES, f":{RULES}", "MET"])
def test_the_variable_says_the_machines_zone(monkeypatch, variable):
    """A name or POSIX's rules; with real changes of the clock."""
    monkeypatch.setenv("TZ", variable)
    assert is_berlin(zone_named(""))


@pytest.mark.parametrize("colon", ["", ":"])
def test_the_variable_may_be_a_path(monkeypatch, colon):
    monkeypatch.setenv("TZ", f"{colon}{data_of('Europe/Berlin')}")
    assert is_berlin(zone_named(""))


@pytest.mark.parametrize("variable", ["", ":", "UTC", "UTC0"])
def test_an_empty_variable_is_utc(monkeypatch, machine, variable):
    """As for the C library; what the machine says is not asked then."""
    machine.symlink_to(data_of("Europe/Berlin"))
    monkeypatch.setenv("TZ", variable)
    assert is_utc(zone_named(""))


def test_without_the_variable_the_machine_is_asked(machine):
    machine.symlink_to(data_of("Europe/Berlin"))
    assert is_berlin(zone_named(""))
    assert zone_named("") is zone_named("")


def test_a_machine_that_says_nothing_is_in_utc():
    assert is_utc(zone_named(""))


@pytest.mark.parametrize(
    "variable", ["Nowhere", ":Nowhere/At_All", "CET-1CEST", "CET-1CEST,M13.5.0,M10.5.0", "/no/such", "\n1"]
)
def test_a_variable_that_cannot_be_read_is_named(monkeypatch, variable):
    """The C library would say UTC, and every rule would be hours off."""
    monkeypatch.setenv("TZ", variable)
    with pytest.raises(ScheduleError, match="this machine's time zone, TZ=") as caught:
        zone_named("")
    assert repr(variable) in str(caught.value)
    assert caught.value.value == variable


def test_a_machine_whose_file_is_no_zone_data_is_told_so(machine):
    machine.write_text("Europe/Berlin")
    with pytest.raises(ScheduleError, match="this machine's time zone"):
        zone_named("")
