"""Days that a month has once: its last one, its last workday, its second Friday, its last Friday; and named rules."""

import calendar
import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph._core.schedule.cron import NAMED_RULES, cron_rule, next_fire
from heliograph._core.schedule.cron_counts import count_fires
from heliograph._core.schedule.cron_days import MatchingDays
from heliograph.exceptions import ScheduleError

DAY = 86_400
START = dt.date(2023, 12, 31)
DAYS = [START + dt.timedelta(number) for number in range(5 * 365)]
"""Five years, a leap year among them."""


def fires(text, days=5 * 365):
    """Return the times at which a rule fires in so many days, as CronSim finds them. A time is given by its day."""
    rule = cron_rule(text)
    at = float(calendar.timegm(START.timetuple()) - 1)
    end = at + days * DAY
    found = []
    while (at := next_fire(rule, at, dt.UTC)) <= end:
        found.append(dt.datetime.fromtimestamp(at, dt.UTC).date())
    return found


def weeks(day):
    return calendar.monthcalendar(day.year, day.month)


def is_last(day):
    return day.month != (day + dt.timedelta(1)).month


def is_last_workday(day):
    return day.weekday() < 5 and all(
        later.weekday() > 4 or later.month != day.month for later in (day + dt.timedelta(n) for n in range(1, 4))
    )


def is_nth(day, weekday, nth):
    """`weekday` as `date.weekday()` counts."""
    found = [week[weekday] for week in weeks(day) if week[weekday]]
    return day.weekday() == weekday and found.index(day.day) + 1 == nth


def is_last_one(day, weekday):
    return day.weekday() == weekday and day.month != (day + dt.timedelta(7)).month


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("0 0 L * *", is_last),
        ("0 0 l * *", is_last),
        ("0 0 LW * *", is_last_workday),
        ("0 0 15,L * *", lambda day: day.day == 15 or is_last(day)),
        ("0 0 L 2 *", lambda day: day.month == 2 and is_last(day)),
        ("0 0 * * 5#2", lambda day: is_nth(day, 4, 2)),
        ("0 0 * * fri#5", lambda day: is_nth(day, 4, 5)),
        ("0 0 * * 0#1", lambda day: is_nth(day, 6, 1)),
        ("0 0 * * 7#1", lambda day: is_nth(day, 6, 1)),
        ("0 0 * * 5L", lambda day: is_last_one(day, 4)),
        ("0 0 * * sunL", lambda day: is_last_one(day, 6)),
        ("0 0 * * mon,fri#1,friL", lambda day: day.weekday() == 0 or is_nth(day, 4, 1) or is_last_one(day, 4)),
        ("0 0 L * 1#1", lambda day: is_last(day) or is_nth(day, 0, 1)),
        ("0 0 */2 * 5L", lambda day: day.day % 2 == 1 and is_last_one(day, 4)),
    ],
)
def test_a_rule_fires_on_these_days(text, matches):
    """By CronSim, and by the counting that needs no calendar walk."""
    expected = [day for day in DAYS if matches(day)]
    assert fires(text) == expected
    assert [day for day in DAYS if day in MatchingDays(cron_rule(text))] == expected
    start = float(calendar.timegm(START.timetuple()) - 1)
    assert count_fires(cron_rule(text), start, start + len(DAYS) * DAY, dt.UTC) == len(expected)


items = st.one_of(
    st.sampled_from(["L", "LW", "*", "*/3", "-4"]), st.integers(1, 31).map(str), st.sampled_from(["1-5", "20-31/2"])
)
weekdays = st.one_of(
    st.tuples(st.integers(0, 7), st.integers(1, 5)).map(lambda drawn: f"{drawn[0]}#{drawn[1]}"),
    st.integers(0, 7).map(lambda weekday: f"{weekday}L"),
    st.sampled_from(["*", "*/2", "1-5", "0", "7"]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(items, min_size=1, max_size=3), st.lists(weekdays, min_size=1, max_size=3))
def test_the_count_is_that_of_a_walk(days, on):
    """For every mixture of items."""
    text = f"0 0 {'-4' if '-4' in days else ','.join(days)} * {','.join(on)}"
    start = float(calendar.timegm(START.timetuple()) - 1)
    assert count_fires(cron_rule(text), start, start + 90 * DAY, dt.UTC) == len(fires(text, 90))


def test_a_rule_has_these_items_in_one_form():
    """A reload compares rules as text."""
    assert cron_rule(day="lw", weekday="SUN#3").weekday == cron_rule(day="LW", weekday="7#3").weekday == "0#3"
    assert cron_rule(weekday="FriL") == cron_rule(weekday="5l")


def test_the_last_day_of_the_month_can_be_any_month():
    """30 February is refused, its last day is not."""
    assert fires("0 0 L 2 *", 800) == [dt.date(2024, 2, 29), dt.date(2025, 2, 28), dt.date(2026, 2, 28)]


@pytest.mark.parametrize(
    "text",
    [
        *("0 0 W * *", "0 0 15W * *", "0 0 L-3 * *", "0 0 L/2 * *", "0 L * * *", "0 0 * L *", "0 0 * * L"),
        *("0 0 * * 5#0", "0 0 * * 5#6", "0 0 * * 8#1", "0 0 * * abc#1", "0 0 5#2 * *", "0 0 * * 5#2-3", "0 0 * * #2"),
    ],
)
def test_other_forms_are_rejected(text):
    """The error shows the forms that there are."""
    with pytest.raises(ScheduleError, match="invalid cron field"):
        cron_rule(text)
    with pytest.raises(ScheduleError, match="'L' or 'LW'"):
        cron_rule(day="15W")
    with pytest.raises(ScheduleError, match="'fri#2' or 'friL'"):
        cron_rule(weekday="5#6")


@pytest.mark.parametrize(("name", "fields"), NAMED_RULES.items())
def test_named_rules(name, fields):
    """As in a crontab, in any case, with a zone."""
    assert cron_rule(name) == cron_rule(f" {name.upper()} ") == cron_rule(fields)
    assert cron_rule(name, tz="Europe/Berlin").tz == "Europe/Berlin"


def test_named_rules_mean_what_they_say():
    """Checked by the days on which they fire."""
    assert fires("@yearly") == [day for day in DAYS if (day.month, day.day) == (1, 1)]
    assert fires("@monthly") == [day for day in DAYS if day.day == 1]
    assert fires("@weekly") == [day for day in DAYS if day.weekday() == 6]
    assert fires("@daily") == DAYS
    assert len(fires("@hourly", 10)) == 240


@pytest.mark.parametrize("name", ["@reboot", "@every", "@", "@daily @daily", "@fortnightly"])
def test_other_names_are_rejected(name):
    """The error lists the names."""
    with pytest.raises(ScheduleError, match=r"Such names are @yearly.*@hourly"):
        cron_rule(name)
