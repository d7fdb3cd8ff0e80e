"""Counting the runs of a cron rule, compared with a walk from run to run."""

import time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heliograph._core.schedule.cron import cron_rule, next_fire
from heliograph._core.schedule.cron_counts import count_fires

HOUR = 3600
DAY = 24 * HOUR
WINTER, SUMMER = 1_774_746_000, 1_792_890_000
"""2026-03-29 01:00 UTC and 2026-10-25 01:00 UTC: the clock changes of Europe."""

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"]


def walk(rule, after, until, zone):
    runs = 0
    while (after := next_fire(rule, after, zone)) <= until:
        runs += 1
    return runs


def fields(lowest, highest):
    number = st.integers(lowest, highest)
    spans = st.tuples(number, number, st.integers(1, 5)).map(lambda t: f"{min(t[:2])}-{max(t[:2])}/{t[2]}")
    return st.one_of(st.just("*"), st.integers(2, 6).map(lambda n: f"*/{n}"), number.map(str), spans)


days = st.one_of(st.just("*"), fields(1, 28), st.integers(2, 9).map(lambda n: f"-{n}"))
rules = st.tuples(
    fields(0, 59),
    st.one_of(st.just("*"), fields(0, 23), st.sampled_from(["1-3", "2", "0-23"])),
    days,
    st.just("*"),
    st.one_of(st.just("*"), fields(0, 6)),
).map(lambda texts: cron_rule(" ".join(texts)))

starts = st.one_of(
    st.sampled_from([WINTER, SUMMER, 1_325_239_200, 1_762_063_200]).flatmap(
        lambda change: st.integers(change - DAY, change + DAY)
    ),
    st.integers(1_600_000_000, 1_800_000_000),
)


@settings(max_examples=400, deadline=None)
@given(rules, starts, st.integers(0, DAY), st.sampled_from(ZONES))
@example(cron_rule("0-59 2 * * *"), WINTER - HOUR, 2 * HOUR, "Europe/Berlin")
@example(cron_rule("0-59 2 * * *"), SUMMER - HOUR, 3 * HOUR, "Europe/Berlin")
@example(cron_rule("* * * * *"), SUMMER - HOUR, 3 * HOUR, "Europe/Berlin")
def test_count_is_that_of_a_walk(rule, after, seconds, zone):
    """For short periods, also across clock changes, the count is that of a walk from run to run."""
    assert count_fires(rule, after, after + seconds, ZoneInfo(zone)) == walk(
        rule, after, after + seconds, ZoneInfo(zone)
    )


def test_fractions_of_a_second():
    """The start is not included, the end is."""
    rule, zone = cron_rule("* * * * *"), ZoneInfo("UTC")
    assert count_fires(rule, 60.0, 120.0, zone) == 1
    assert count_fires(rule, 59.5, 119.5, zone) == 1
    assert count_fires(rule, 120.0, 60.0, zone) == 0


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_hundred_rules_are_counted_at_once(zone):
    """The runs of 17 hours of a hundred rules take some milliseconds, not seconds."""
    rule = cron_rule("* * * * *")
    count_fires(rule, WINTER, WINTER + 17 * HOUR, ZoneInfo(zone))
    before = time.process_time()
    for _ in range(100):
        assert count_fires(rule, WINTER, WINTER + 17 * HOUR, ZoneInfo(zone)) == 17 * 60
    assert time.process_time() - before < 1.0
