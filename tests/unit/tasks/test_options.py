"""Options of tasks: bounds, types, and errors that name the option."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from heliograph import Retry, task
from heliograph._core.tasks.backoff import backoff_delay
from heliograph._core.tasks.options import parse_rate
from heliograph._core.tasks.times import duration, instant, moment
from heliograph._core.tasks.values import Rate
from heliograph.exceptions import InvalidTask, SignalTypeError, TargetError

NOW = 1_767_225_600_000_000
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/m", Rate(10, 60 * SECOND)),
        ("1/s", Rate(1, SECOND)),
        ("500/h", Rate(500, 3600 * SECOND)),
        ("3/d", Rate(3, 86400 * SECOND)),
        ("100/30s", Rate(100, 30 * SECOND)),
        (None, None),
    ],
)
def test_a_rate(text, rate):
    """A number of tasks and a period."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["0/m", "-1/m", "10", "10/x", "1.5/m", "10/0s", "10/m ", "", 10, b"10/m", "9" * 20 + "/s"]
)
def test_an_invalid_rate(text):
    """The error names the option, and shows what is valid."""
    with pytest.raises(InvalidTask, match=r"invalid rate.*'10/m'") as caught:
        task(rate=text)
    assert caught.value.argument == "rate"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("priority", value) for value in (-101, 101, 100.5, 1.0, True, "5", None, 2**70)),
        *(("retries", value) for value in (-1, 1.5, True, "5", 10**10)),
        *(("limit", value) for value in (0, -1, True, "5", 1.0)),
        *(
            (option, value)
            for option in ("backoff", "max_backoff", "time_limit", "expires", "result_ttl")
            for value in (-1, math.nan, math.inf, -math.inf, True, "5", timedelta(-1), timedelta.max, 1e300)
        ),
        *(("unique", value) for value in ("", 5, b"k", "x" * 1000, "\ud800")),
        *(("redeliver", value) for value in (0, None, "no")),
        *(("name", value) for value in ("", "a\nb", 5, "x" * 1000)),
    ],
)
def test_an_invalid_option(engine, option, value):
    """The error is a ValueError that names the option."""
    with pytest.raises(InvalidTask, match=f"^invalid {option}") as caught:
        task(**{option: value})(len)
    assert caught.value.argument == option
    assert len(str(caught.value)) < 500


def test_an_unknown_option():
    """The error lists those that there are."""
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'retry'.*retries"):
        task(retry=3)


@pytest.mark.parametrize("target", ["workers", "mules", "active-workers", "mule9", "nowhere", "x" * 64])
def test_an_invalid_target(engine, target):
    """A task runs in one process, of those that the server has."""
    with pytest.raises(TargetError, match=f"invalid target '{target}'"):
        task(target=target)


def test_a_target_of_another_type(engine):
    """As for the handlers of signals."""
    with pytest.raises(SignalTypeError):
        task(target=1.5)


@pytest.mark.parametrize(
    "value",
    [-1, 5, math.nan, "tomorrow", datetime(2026, 1, 1), timedelta(-1), timedelta.max, True],  # noqa: DTZ001
)
@pytest.mark.parametrize("option", ["run_after", "expires"])
def test_an_invalid_time(engine, option, value):
    """A number, a time without a zone, a time that is too far, or a negative time from now."""
    sample = task(name="sample")(lambda: None)
    with pytest.raises(InvalidTask, match=f"invalid {option}"):
        sample.using(**{option: value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (timedelta(seconds=1), NOW + SECOND),
        (timedelta(), NOW),
        (datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC), NOW + 1),
        (datetime(2026, 1, 1, 9, tzinfo=ZoneInfo("Asia/Tokyo")), NOW),
        (datetime(2026, 10, 25, 2, 30, fold=0, tzinfo=ZoneInfo("Europe/Berlin")), 1_792_888_200_000_000),
        (datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")), 1_792_891_800_000_000),
        (datetime(2026, 3, 29, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")), 1_774_747_800_000_000),
        (datetime(1, 1, 1, tzinfo=UTC), 0),
        (datetime.min.replace(tzinfo=ZoneInfo("Asia/Tokyo")), 0),
        (datetime(1960, 1, 1, tzinfo=UTC), 0),
        (datetime(9999, 6, 1, tzinfo=UTC), 253_383_811_200_000_000),
        (datetime.max.replace(tzinfo=ZoneInfo("America/New_York")), 253_402_214_400_000_000),
    ],
)
def test_an_instant(value, expected):
    """To the microsecond, in any zone, also at clock changes and at both ends of the calendar."""
    assert instant("run_after", value, NOW) == expected
    assert moment(expected or 1).tzinfo is UTC


def test_a_duration():
    """Seconds or a timedelta, to the microsecond."""
    assert duration("backoff", 0.5) == duration("backoff", timedelta(milliseconds=500)) == 500_000
    assert duration("backoff", 0) == 0


@pytest.mark.parametrize("after", [-1, math.nan, math.inf, timedelta.max, timedelta(-1), "1", True, 2**63])
def test_an_invalid_retry(after):
    """The error names `after`."""
    with pytest.raises(InvalidTask, match="invalid after"):
        Retry(after)


def test_the_delay_doubles_up_to_the_maximum():
    """Without jitter, and with the largest one."""
    assert [backoff_delay(n, 10, 100, 0.0) for n in range(1, 7)] == [10, 20, 40, 80, 100, 100]
    assert [backoff_delay(n, 10, 100, 1.0) for n in range(1, 6)] == [11, 22, 44, 88, 90]
    assert backoff_delay(1, 0, 100, 0.5) == 0
    assert backoff_delay(1, 200, 100, 0.0) == 100


def test_the_delay_never_overflows():
    """After thousands of attempts, and with the largest values."""
    assert backoff_delay(2000, 1.0, 3600.0, 0.0) == 3600.0
    assert backoff_delay(10**9, 3e9, 3e9, 1.0) <= 3e9
    assert backoff_delay(2000, 1e-300, 3600.0, 0.0) <= 3600.0
