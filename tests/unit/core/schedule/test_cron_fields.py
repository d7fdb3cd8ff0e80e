"""Fields of a cron rule: numbers, texts, and invalid values."""

import re
import string
from enum import IntEnum

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heliograph._core.schedule.cron_fields import DAY, HOUR, MINUTE, MONTH, WEEKDAY, Field, crontab, spelled, values
from heliograph.exceptions import ScheduleError

FIELDS = [MINUTE, HOUR, DAY, MONTH, WEEKDAY]


class Hour(IntEnum):
    NOON = 12


MEANING = [
    (HOUR, 3, "3", {3}),
    (HOUR, 0, "0", {0}),
    (HOUR, -0, "0", {0}),
    (HOUR, -1, "*", set(range(24))),
    (HOUR, -3, "*/3", {0, 3, 6, 9, 12, 15, 18, 21}),
    (HOUR, -5, "*/5", {0, 5, 10, 15, 20}),
    (HOUR, -24, "*/24", {0}),
    (HOUR, Hour.NOON, "12", {12}),
    (HOUR, "10-18/2", "10-18/2", {10, 12, 14, 16, 18}),
    (HOUR, "10-11/1", "10-11", {10, 11}),
    (HOUR, "10-11/5", "10-11/5", {10}),
    (HOUR, "03", "3", {3}),
    (HOUR, "-3", "*/3", {0, 3, 6, 9, 12, 15, 18, 21}),
    (MINUTE, "*/1", "*", set(range(60))),
    (MINUTE, "00,05,7-7", "0,5,7", {0, 5, 7}),
    (MINUTE, "5-5/2", "5", {5}),
    (MINUTE, -60, "*/60", {0}),
    (DAY, -1, "*", set(range(1, 32))),
    (DAY, -10, "-10", {10, 20, 30}),
    (DAY, "*/10", "*/10", {1, 11, 21, 31}),
    (DAY, "-31", "-31", {31}),
    (MONTH, -5, "-5", {5, 10}),
    (MONTH, "Jan,jun-AUG", "1,6-8", {1, 6, 7, 8}),
    (WEEKDAY, 7, "7", {7}),
    (WEEKDAY, -2, "*/2", {0, 2, 4, 6}),
    (WEEKDAY, "mon-fri", "1-5", {1, 2, 3, 4, 5}),
    (WEEKDAY, "sun,Wed-sat/2", "0,3-6/2", {0, 3, 5}),
    (WEEKDAY, "fri-sun", "5-7", {5, 6, 7}),
    (WEEKDAY, "sun-tue", "0-2", {0, 1, 2}),
    (WEEKDAY, "sun-sun", "0", {0}),
]


@pytest.mark.parametrize(("field", "given", "text", "numbers"), MEANING)
def test_values_have_a_text_and_a_meaning(field, given, text, numbers):
    """Sunday may be 7."""
    assert spelled(field, given) == text
    assert values(field, given) == numbers


IMPOSSIBLE = [
    *((field, value) for field in FIELDS for value in (99, -99, 60, -61, 10**30, True, False, 1.0, None, b"1", [1])),
    *((field, text) for field in FIELDS for text in ("", " ", ",", "1,", ",1", "1,,2", "1 ", " 1", "1\n", "1-", "--1")),
    *(
        (field, text)
        for field in FIELDS
        for text in ("5-1", "*/0", "1-2/0", "*/61", "1/2", "*-2", "2-*", "1-2-3", "**")
    ),
    *(
        (field, text)
        for field in FIELDS
        for text in ("-0", "-02", "+1", "1.0", "0x1", "?", "L-3", "1#6", "001", "\u0661")
    ),
    *((field, text) for field in FIELDS for text in ("foo", "monday", "jan-", "-jan", "*/jan", "1,-2", "-2,1", "-2-4")),
    *((HOUR, value) for value in (24, -25, "24", "0-24", "*/25", "mon", "jan")),
    *((DAY, value) for value in (0, 32, -32, "0", "0-31", "*/32")),
    *((MONTH, value) for value in (0, 13, -13, "13", "*/13", "mon", "dec-jan")),
    *((WEEKDAY, value) for value in (8, -8, "8", "*/8", "jan", "5-0", "sat-mon")),
]


@pytest.mark.parametrize(("field", "value"), IMPOSSIBLE)
def test_invalid_values_are_rejected(field, value):
    """The message has the field, the value and the valid values."""
    with pytest.raises(ScheduleError, match=rf"{field.name}=.*\. Use {field.lowest} to {field.highest}") as caught:
        spelled(field, value)
    assert repr(value) in str(caught.value)
    assert caught.value.value is value


@given(st.sampled_from(FIELDS), st.integers(-100, 100))
def test_numbers_mean_the_same_as_on_uwsgi(field: Field, number: int):
    """A number is accepted if it can match on uWSGI, with steps of at most the whole field."""
    everything = range(field.lowest, field.lowest + field.count)
    wanted = number % 7 if field is WEEKDAY else number
    matched = {value for value in everything if (value % -number == 0 if number < 0 else value == wanted)}
    if -field.count <= number <= field.highest and (number < 0 or number >= field.lowest):
        assert {value % 7 if field is WEEKDAY else value for value in values(field, number)} == matched
    else:
        with pytest.raises(ScheduleError):
            values(field, number)


def understood(field: Field, text: str) -> set[int] | None:
    """Return the values of a text by testing each value. None if the text is invalid."""
    text = text.lower()
    if re.fullmatch("-[1-9][0-9]*", text):
        return every(field, -int(text)) if -int(text) <= field.count else None
    found: set[int] = set()
    for item in text.split(","):
        span, slash, step = item.partition("/")
        first, dash, last = span.partition("-")
        if slash and not (re.fullmatch("[1-9][0-9]?", step) and int(step) <= field.count and (dash or span == "*")):
            return None
        if span == "*":
            low, high = field.lowest, field.highest
        else:
            low, high = number(field, first), number(field, last if dash else first)
            high = 7 if last == "sun" and field is WEEKDAY and low else high
        if not field.lowest <= low <= high <= field.highest:
            return None
        found |= set(range(low, high + 1, int(step or 1)))
    return found


def every(field: Field, step: int) -> set[int]:
    return {value for value in range(field.lowest, field.highest + 1) if value % step == 0}


def number(field: Field, text: str) -> int:
    if re.fullmatch("[0-9]{1,2}", text):
        return int(text)
    return field.names.index(text) + field.lowest if text in field.names else -1


pieces = st.sampled_from([*"*-/,", "mon", "SUN", "jan", "dec", "mon-fri", "1-5", "*/2", *map(str, range(40))])
scraps = st.lists(pieces, min_size=1, max_size=6).map("".join)
anything = st.text(string.printable, max_size=6)


@given(st.sampled_from(FIELDS), scraps | anything)
@example(WEEKDAY, "1-sun")
@example(WEEKDAY, "0-sun")
def test_texts_are_accepted_or_rejected(field: Field, text: str):
    """Compared with a separate parser. An accepted text parses to itself."""
    meant = understood(field, text)
    if meant is None:
        with pytest.raises(ScheduleError):
            spelled(field, text)
    else:
        again = spelled(field, text)
        assert values(field, text) == values(field, again) == values(field, crontab(field, again)) == meant
        assert spelled(field, again) == again
