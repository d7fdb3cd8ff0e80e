"""When rules fire, compared with a walk over minutes that follows Debian's cron."""

import datetime as dt
import itertools
import math
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph._core.schedule.cron import cron_rule, next_fire
from heliograph.models import CronRule

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
ZONES = ["UTC", BERLIN, NEW_YORK, LORD_HOWE, "America/Havana"]
DAY = 86_400
YEARS = range(1_483_228_800, 1_798_761_600, DAY)
"""Ten years of days: 2017 to 2026."""


def shown(at: int, zone: dt.tzinfo) -> dt.datetime:
    return dt.datetime.fromtimestamp(at, zone).replace(tzinfo=None, fold=0)


def offset(at: int, zone: dt.tzinfo) -> dt.timedelta | None:
    return dt.datetime.fromtimestamp(at, zone).utcoffset()


CHANGED = {
    name: [day for day in YEARS if offset(day, ZoneInfo(name)) != offset(day + DAY, ZoneInfo(name))] for name in ZONES
}
"""The days, in UTC, on which a zone's clock is changed."""


@dataclass
class Wanted:
    """A rule and the meaning of its fields, each derived where it was drawn."""

    rule: CronRule
    minutes: set[int]
    hours: set[int]
    days: set[int]
    months: set[int]
    weekdays: set[int]
    both_days: bool
    wild: bool

    def matches(self, now: dt.datetime) -> bool:
        on_day, on_weekday = now.day in self.days, now.isoweekday() % 7 in self.weekdays
        today = on_day and on_weekday if self.both_days else on_day or on_weekday
        return now.minute in self.minutes and now.hour in self.hours and now.month in self.months and today


def walk(wanted: Wanted, zone: dt.tzinfo, start: int, end: int) -> list[int]:
    """Return every minute from `start` to `end` in which cron runs the job.

    The walk keeps the latest time that the clock has shown. Fixed jobs run for each later time, including skipped ones.
    The others run for each time that the clock shows.
    """
    runs = []
    latest = shown(start - 3 * 3600, zone)
    for at in range(start - 3 * 3600, end + 1, 60):
        now = shown(at, zone)
        if wanted.wild:
            run = wanted.matches(now)
        else:
            new = range(1, (now - latest) // dt.timedelta(minutes=1) + 1)
            run = any(wanted.matches(latest + dt.timedelta(minutes=n)) for n in new)
        latest = max(latest, now)
        if run and at > start:
            runs.append(at)
    return runs


def fires(rule: CronRule, zone: dt.tzinfo, start: float, end: float) -> list[float]:
    found = []
    at = next_fire(rule, start, zone)
    while at <= end:
        found.append(at)
        at = next_fire(rule, at, zone)
        assert at > found[-1]
    return found


def items(low: int, high: int) -> st.SearchStrategy[tuple[str, set[int]]]:
    """One item of a list, and its meaning."""
    one = st.integers(low, high).map(lambda n: (f"{n}", {n}))
    span = st.tuples(st.integers(low, high), st.integers(low, high), st.integers(1, 7)).map(sorted_span)
    return one | one | span


def sorted_span(drawn: tuple[int, int, int]) -> tuple[str, set[int]]:
    low, high, step = min(drawn[:2]), max(drawn[:2]), drawn[2]
    return f"{low}-{high}/{step}", set(range(low, high + 1, step))


def lists(low: int, high: int) -> st.SearchStrategy[tuple[str, set[int]]]:
    return st.lists(items(low, high), min_size=1, max_size=3).map(
        lambda drawn: (",".join(text for text, _ in drawn), set().union(*(numbers for _, numbers in drawn)))
    )


def stars(low: int, high: int) -> st.SearchStrategy[tuple[str, set[int]]]:
    steps = st.integers(2, 7).map(lambda n: (f"*/{n}", set(range(low, high + 1, n))))
    return st.just(("*", set(range(low, high + 1)))) | steps


def counted(low: int, high: int) -> st.SearchStrategy[tuple[str, set[int]]]:
    """The -N of uWSGI."""
    return st.integers(2, 7).map(lambda n: (f"-{n}", {value for value in range(low, high + 1) if value % n == 0}))


@st.composite
def rules(draw) -> Wanted:
    """Rules of all kinds, most of them for every day and for the hours of clock changes."""
    any_day, any_month, any_weekday = ("*", set(range(1, 32))), ("*", set(range(1, 13))), ("*", set(range(7)))
    minute, minutes = draw(stars(0, 59) | lists(0, 59) | lists(0, 59))
    hour, hours = draw(stars(0, 23) | lists(0, 23) | lists(0, 3) | lists(0, 3))
    day, days = draw(st.just(any_day) | st.just(any_day) | stars(1, 31) | counted(1, 31) | lists(1, 28))
    month, months = draw(st.just(any_month) | st.just(any_month) | counted(1, 12) | lists(1, 12))
    weekday, weekdays = draw(st.just(any_weekday) | st.just(any_weekday) | stars(0, 6) | lists(0, 7))
    return Wanted(
        cron_rule(minute=minute, hour=hour, day=day, month=month, weekday=weekday),
        *(minutes, hours, days, months, {number % 7 for number in weekdays}),
        both_days=day[0] in "*-" or weekday[0] == "*",
        wild=minute[0] == "*" or hour[0] == "*",
    )


@st.composite
def moments(draw) -> tuple[str, int]:
    """A zone and a minute within ten years, often near a clock change of the zone."""
    name = draw(st.sampled_from(ZONES))
    days = st.sampled_from(CHANGED[name] or YEARS) if draw(st.integers(0, 3)) else st.sampled_from(YEARS)
    return name, draw(days) + 60 * draw(st.integers(-1440, 2 * 1440))


@settings(max_examples=200)
@given(rules(), moments())
def test_rules_fire_as_in_a_walk_over_minutes(wanted, when):
    """In any zone and from any time: the same times, in order, each later than the one before."""
    name, start = when
    zone, end = ZoneInfo(name), start + 30 * 3600
    assert fires(wanted.rule, zone, start, end) == walk(wanted, zone, start, end)


@given(rules(), st.sampled_from(YEARS), st.integers(0, DAY - 1))
def test_rules_fire_on_calendar_days(wanted, day, second):
    """Without clock changes, and across years: the first matching day, and its first matching minute."""
    start = day + second
    days = (dt.datetime.fromtimestamp(day + n * DAY, dt.UTC) for n in range(12 * 366))
    times = [
        dt.timedelta(hours=hour, minutes=minute) for hour in sorted(wanted.hours) for minute in sorted(wanted.minutes)
    ]
    first = dt.timedelta(hours=min(wanted.hours), minutes=min(wanted.minutes))
    matching = (day + time for day in days if wanted.matches(day + first) for time in times)
    expected = next((found.timestamp() for found in matching if found.timestamp() > start), None)
    assert next_fire(wanted.rule, start, dt.UTC) == expected


@given(st.sampled_from(["* * * * *", "30 2 * * *"]), st.sampled_from(YEARS), st.floats(0, 600))
def test_next_time_is_strictly_later(text, day, seconds):
    """Just before a minute, the next time is that minute. Exactly on it, the next time is a later one."""
    after = day + seconds
    at = next_fire(cron_rule(text), after, dt.UTC)
    assert at > after
    assert next_fire(cron_rule(text), math.nextafter(at, 0), dt.UTC) == at


def moment(zone: str, text: str) -> float:
    """Parse `2026-03-29 02:30`. With `b` at the end it is the second time that the clock shows it."""
    time = dt.datetime.fromisoformat(text.removesuffix("b")).replace(tzinfo=ZoneInfo(zone), fold=text.endswith("b"))
    return time.timestamp()


CHANGES = [
    (BERLIN, "30 2 * * *", "2026-03-28 12:00", ["2026-03-29 03:00", "2026-03-30 02:30"]),
    (BERLIN, "0,30 2 * * *", "2026-03-29 01:00", ["2026-03-29 03:00", "2026-03-30 02:00"]),
    (BERLIN, "30 2,3 * * *", "2026-03-29 01:00", ["2026-03-29 03:00", "2026-03-29 03:30"]),
    (BERLIN, "0 2,3 * * *", "2026-03-29 01:00", ["2026-03-29 03:00", "2026-03-30 02:00"]),
    (BERLIN, "*/30 2 * * *", "2026-03-29 01:00", ["2026-03-30 02:00", "2026-03-30 02:30"]),
    (BERLIN, "30 * * * *", "2026-03-29 01:00", ["2026-03-29 01:30", "2026-03-29 03:30"]),
    (BERLIN, "30 2 * * *", "2026-10-25 01:00", ["2026-10-25 02:30", "2026-10-26 02:30"]),
    (BERLIN, "30 2 * * *", "2026-10-25 02:10b", ["2026-10-26 02:30"]),
    (BERLIN, "30 * * * *", "2026-10-25 02:00", ["2026-10-25 02:30", "2026-10-25 02:30b", "2026-10-25 03:30"]),
    (BERLIN, "*/30 2 * * *", "2026-10-25 02:00", ["2026-10-25 02:30", "2026-10-25 02:00b", "2026-10-25 02:30b"]),
    (NEW_YORK, "30 2 * * *", "2026-03-08 00:00", ["2026-03-08 03:00", "2026-03-09 02:30"]),
    (NEW_YORK, "30 1 * * *", "2026-11-01 00:00", ["2026-11-01 01:30", "2026-11-02 01:30"]),
    (LORD_HOWE, "15 2 * * *", "2026-10-04 00:00", ["2026-10-04 02:30", "2026-10-05 02:15"]),
    (LORD_HOWE, "40 * * * *", "2026-10-04 01:00", ["2026-10-04 01:40", "2026-10-04 02:40"]),
    (LORD_HOWE, "15 * * * *", "2026-10-04 01:00", ["2026-10-04 01:15", "2026-10-04 03:15"]),
    (LORD_HOWE, "45 1 * * *", "2026-04-05 00:00", ["2026-04-05 01:45", "2026-04-06 01:45"]),
    (LORD_HOWE, "45 * * * *", "2026-04-05 01:00", ["2026-04-05 01:45", "2026-04-05 01:45b", "2026-04-05 02:45"]),
    (LORD_HOWE, "*/20 2 * * *", "2026-04-05 00:00", ["2026-04-05 02:00", "2026-04-05 02:20"]),
    ("America/Havana", "30 0 * * *", "2026-03-07 12:00", ["2026-03-08 01:00", "2026-03-09 00:30"]),
    ("America/Havana", "*/30 1 * * sun", "2026-03-07 12:00", ["2026-03-08 01:00", "2026-03-08 01:30"]),
    ("Pacific/Apia", "0 3 * * *", "2011-12-29 12:00", ["2011-12-31 00:00", "2011-12-31 03:00"]),
]


@pytest.mark.parametrize(("zone", "text", "after", "expected"), CHANGES)
def test_clock_changes(zone, text, after, expected):
    """A skipped time runs once after the gap, a repeated one once, and rules with a star follow elapsed time."""
    found = [moment(zone, after)]
    for _ in expected:
        found.append(next_fire(cron_rule(text), found[-1], ZoneInfo(zone)))
    assert found[1:] == [moment(zone, time) for time in expected]


@pytest.mark.parametrize("name", ZONES)
def test_fixed_time_comes_once_a_day_for_ten_years(name):
    """Whatever the zone does at one or two o'clock."""
    zone = ZoneInfo(name)
    first = dt.datetime(2017, 1, 1, tzinfo=zone)
    for hour in (1, 2):
        found = fires(cron_rule(f"45 {hour} * * *"), zone, first.timestamp(), first.replace(year=2027).timestamp())
        assert [shown(int(fire), zone).date() for fire in found] == [
            first.date() + dt.timedelta(days=n) for n in range(3652)
        ]


def test_time_that_a_zone_never_shows_never_fires():
    """A rule with a star at two o'clock on the second Sunday in March: New York skips it every year."""
    assert (
        next_fire(cron_rule("*/5 2 8-14 3 */7"), moment(NEW_YORK, "2026-01-01 00:00"), ZoneInfo(NEW_YORK)) == math.inf
    )


def test_longest_wait_is_forty_years():
    """29 February on a Sunday, across 2100, which has none."""
    leap = [dt.datetime(year, 2, 29, tzinfo=dt.UTC) for year in range(2000, 2400, 4) if year % 100 or year % 400 == 0]
    sundays = [day.timestamp() for day in leap if day.isoweekday() == 7]
    waits = [after - before for before, after in itertools.pairwise(sundays)]
    assert max(waits) == dt.timedelta(days=40 * 365 + 9).total_seconds()
    assert fires(cron_rule("0 0 29 2 */7"), dt.UTC, sundays[0], sundays[-1]) == sundays[1:]


@pytest.mark.parametrize("after", [250_000_000_000, 1e12, math.inf])
@pytest.mark.parametrize("text", ["30 2 * * *", "* * * * *", "0 0 29 2 *", "*/5 0 29 2 */7"])
def test_calendar_ends(text, after):
    """Just before its end there still are runs."""
    assert next_fire(cron_rule(text), after, ZoneInfo(BERLIN)) == math.inf
    assert 249_999_999_999 < next_fire(cron_rule(text), 249_999_999_999, ZoneInfo(BERLIN)) < 252_000_000_000
