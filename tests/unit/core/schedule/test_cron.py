"""Cron rules: defaults of omitted fields, expressions, and invalid rules."""

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.schedule.cron import cron_rule, next_fire
from heliograph.exceptions import ScheduleError
from heliograph.models import CronRule

UTC = dt.UTC

FILLED = [
    ({}, "* * * * *"),
    ({"hour": 3}, "0 3 * * *"),
    ({"hour": -3}, "0 */3 * * *"),
    ({"hour": 3, "minute": -1}, "* 3 * * *"),
    ({"minute": 0}, "0 * * * *"),
    ({"minute": -5}, "*/5 * * * *"),
    ({"day": 1}, "0 0 1 * *"),
    ({"day": -2}, "0 0 -2 * *"),
    ({"month": 6}, "0 0 1 6 *"),
    ({"month": 6, "hour": 3}, "0 3 * 6 *"),
    ({"weekday": 1}, "0 0 * * 1"),
    ({"weekday": "mon-fri", "hour": "10-18/2"}, "0 10-18/2 * * 1-5"),
    ({"month": 6, "weekday": 1}, "0 0 * 6 1"),
    ({"day": 1, "weekday": 1}, "0 0 1 * 1"),
    ({"expression": "0 3 * * mon-fri"}, "0 3 * * 1-5"),
    ({"expression": " 00\t03 *  JAN sun\n"}, "0 3 * 1 0"),
    ({"expression": "59 2 -1 -1 -1"}, "59 2 * * *"),
]


def fields(rule: CronRule) -> list[str]:
    return [rule.minute, rule.hour, rule.day, rule.month, rule.weekday]


@pytest.mark.parametrize(("given", "text"), FILLED)
def test_omitted_fields_get_defaults(given, text):
    """Fields finer than the finest given one get the lowest value, coarser ones any."""
    assert " ".join(fields(cron_rule(**given))) == text
    assert cron_rule(text) == cron_rule(**given)


@pytest.mark.parametrize("present", [*itertools.product([False, True], repeat=5)])
def test_defaults_are_those_of_apscheduler(present):
    """The expected values come from another formulation of its rule."""
    order = ["month", "day", "weekday", "hour", "minute"]
    todo = {name: "2" for name, there in zip(order, present, strict=True) if there}
    expected, finer = {}, False
    for name, default in zip(order, ["1", "1", "*", "0", "0"], strict=True):
        if name in todo:
            expected[name], finer = todo.pop(name), not todo
        else:
            expected[name] = default if finer else "*"
    given = {name: 2 for name, there in zip(order, present, strict=True) if there}
    assert cron_rule(**given) == CronRule(**expected)


def test_zone_is_not_checked():
    """The decorator checks the zone."""
    assert cron_rule("0 3 * * *", tz="Europe/Berlin").tz == "Europe/Berlin"
    assert cron_rule(hour=3, tz="nowhere").tz == "nowhere"
    assert cron_rule().tz == ""


@pytest.mark.parametrize("text", ["", " ", "0 3 * *", "0 3 * * * *", 5, b"0 3 * * *", True, ["0 3 * * *"]])
def test_expression_must_have_five_fields(text):
    with pytest.raises(ScheduleError, match=r"five fields, as in .*: minute, hour, day, month, weekday") as caught:
        cron_rule(text)
    assert caught.value.value is text


@pytest.mark.parametrize("name", ["minute", "hour", "day", "month", "weekday"])
def test_expression_with_fields_is_rejected(name):
    with pytest.raises(ScheduleError, match="one or the other"):
        cron_rule("0 3 * * *", **{name: 1})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("60 3 * * *", "minute='60'"),
        ("0 24 * * *", "hour='24'"),
        ("0 0 0 * *", "day='0'"),
        ("0 0 * 13 *", "month='13'"),
    ],
)
def test_invalid_field_of_an_expression_is_named(text, named):
    with pytest.raises(ScheduleError, match=named):
        cron_rule(text)


@pytest.mark.parametrize(
    "never",
    [
        *(
            {"day": 31, "month": 2},
            {"day": "30,31", "month": "feb"},
            {"day": -31, "month": 4},
            {"day": -30, "month": 2},
        ),
        *(
            {"day": 31, "month": "4,6,9,11"},
            {"day": 31, "month": 6, "weekday": -2},
            {"day": -30, "month": 2, "weekday": 1},
        ),
        {"expression": "0 0 30 2 *"},
    ],
)
def test_days_that_never_come_are_rejected(never):
    with pytest.raises(ScheduleError, match=r"never match together: .*\. Such a month has at most (29|30) days"):
        cron_rule(**never)


@pytest.mark.parametrize(
    "rare", [{"day": 29, "month": 2}, {"day": 31, "month": 2, "weekday": 1}, {"day": "28-31", "month": 2}]
)
def test_rare_days_are_accepted(rare):
    assert next_fire(cron_rule(**rare), 0.0, UTC) < 4 * 366 * 86_400


def needs_execution(now: dt.datetime, minute: int, hour: int, day: int, month: int, weekday: int) -> bool:
    """Apply the rule of uWSGI (`core/master_utils.c`, `uwsgi_cron_task_needs_execution`)."""

    def fits(value: int, wanted: int) -> bool:
        return value % -wanted == 0 if wanted < 0 else value == wanted

    on_day, on_weekday = fits(now.day, day), fits(now.isoweekday() % 7, 0 if weekday == 7 else weekday)
    today = on_day or on_weekday if day >= 0 and weekday >= 0 else on_day and on_weekday
    return fits(now.minute, minute) and fits(now.hour, hour) and fits(now.month, month) and today


minutes = st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2029, 12, 31)).map(  # noqa: DTZ001
    lambda found: found.replace(second=0, microsecond=0, tzinfo=UTC)
)


def numbers_for(now: dt.datetime) -> st.SearchStrategy[tuple[int, ...]]:
    """Five numbers. The rule often fires at the given time."""
    now_is = (now.minute, now.hour, now.day, now.month, now.isoweekday() % 7)
    bounds = ((-60, 0, 59), (-24, 0, 23), (-31, 1, 31), (-12, 1, 12), (-7, 0, 7))
    return st.tuples(
        *(
            st.just(-1) | st.just(value) | st.integers(-4, -1) | st.integers(least, -1) | st.integers(low, high)
            for value, (least, low, high) in zip(now_is, bounds, strict=True)
        )
    )


@given(st.data(), minutes)
def test_numeric_rules_fire_as_on_uwsgi(data, now):
    """-N, both numbers of Sunday, and day with weekday. A rejected rule never fires on uWSGI."""
    names = ("minute", "hour", "day", "month", "weekday")
    wanted = dict(zip(names, data.draw(numbers_for(now)), strict=True))
    try:
        rule = cron_rule(**wanted)
    except ScheduleError:
        days = (dt.datetime(2020, 1, 1, tzinfo=UTC) + dt.timedelta(days=n) for n in range(366))
        assert not any(needs_execution(day, **{**wanted, "minute": -1, "hour": -1}) for day in days)
    else:
        at = now.timestamp()
        assert (next_fire(rule, at - 1, UTC) == at) == needs_execution(now, **wanted)
