"""Triggers as JSON, passed from the process that loads the application to the process that sends the signals."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.schedule.trigger_codec import describe_trigger, from_json, to_json
from heliograph.models import CronRule, FileMonitor, Timer, Trigger

times = st.floats(0, 1e300, exclude_min=True)
texts = st.text(max_size=30)
whats = st.one_of(
    st.builds(Timer, times, st.integers(0, 2**40)),
    st.builds(CronRule, texts, texts, texts, texts, texts, texts),
    st.builds(FileMonitor, texts, st.booleans(), st.booleans(), st.just(0.0) | times),
)
triggers = st.builds(
    Trigger, st.integers(0, 255), whats, texts, st.just(0.0) | times, st.booleans(), st.none() | st.just(0.0) | times
)


@given(listed=st.lists(triggers, max_size=10))
def test_triggers_are_equal_after_decoding(listed):
    """All kinds, in order, with exact floats, so that both sides compute the same due times."""
    assert from_json(to_json(listed)) == listed


@given(listed=st.lists(triggers, max_size=3))
def test_text_is_ascii_on_one_line(listed):
    """File names that are not UTF-8 survive as well."""
    text = to_json(listed)
    assert text.isascii()
    assert "\n" not in text


def test_empty_text_has_no_triggers():
    """An application without triggers reports it."""
    assert from_json("") == from_json(to_json([])) == []


def test_kinds_are_distinguished():
    """Values with the same fields in different classes come back as they were."""
    listed = [
        Trigger(1, Timer(math.pi, 3), "t", 0.5, coalesce=False, misfire_grace=30.0),
        Trigger(2, CronRule("0", "3", "*", "*", "1-5", "Europe/Berlin"), "r"),
        Trigger(3, FileMonitor("/etc/hosts", recursive=True), "m"),
    ]
    found = from_json(to_json(iter(listed)))
    assert [type(trigger.spec) for trigger in found] == [Timer, CronRule, FileMonitor]
    assert found == listed


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (Timer(60.0, 0), "every 60 s"),
        (Timer(0.5, 3), "every 0.5 s, 3 times"),
        (Timer(1.0, 1), "once, after 1 s"),
        (CronRule("0", "3", "*", "*", "*", "Europe/Berlin"), "0 3 * * * Europe/Berlin"),
        (FileMonitor("/srv/prices", True, False), "changes under /srv/prices"),
    ],
)
def test_a_trigger_is_described_for_people(spec, text):
    """The text is in the column `trigger` of `heliograph signals`."""
    assert describe_trigger(spec) == text
