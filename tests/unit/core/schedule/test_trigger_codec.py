"""Sources as text: what the process that loads an application says, the one that raises its signals reads."""

import math

from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.schedule.trigger_codec import from_json, to_json
from heliograph.models import CronRule, FileMonitor, Timer, Trigger

times = st.floats(0, 1e300, exclude_min=True)
texts = st.text(max_size=30)
whats = st.one_of(
    st.builds(Timer, times, st.integers(0, 2**40)),
    st.builds(CronRule, texts, texts, texts, texts, texts, texts),
    st.builds(FileMonitor, texts, st.booleans(), st.booleans()),
)
triggers = st.builds(
    Trigger, st.integers(0, 255), whats, texts, st.just(0.0) | times, st.booleans(), st.none() | st.just(0.0) | times
)


@given(listed=st.lists(triggers, max_size=10))
def test_sources_survive_their_text(listed):
    """All kinds, in their order, every float to the last bit: the grid of a timer must be the same on both sides."""
    assert from_json(to_json(listed)) == listed


@given(listed=st.lists(triggers, max_size=3))
def test_the_text_is_plain(listed):
    """ASCII, on one line: file names that are no UTF-8 go through too."""
    text = to_json(listed)
    assert text.isascii()
    assert "\n" not in text


def test_an_empty_text_is_no_sources():
    """As of an application that declares none, or that was never loaded."""
    assert from_json("") == from_json(to_json([])) == []


def test_kinds_are_told_apart():
    """Values of one shape in different classes come back as what they were."""
    listed = [
        Trigger(1, Timer(math.pi, 3), "t", 0.5, coalesce=False, misfire_grace=30.0),
        Trigger(2, CronRule("0", "3", "*", "*", "1-5", "Europe/Berlin"), "r"),
        Trigger(3, FileMonitor("/etc/hosts", recursive=True), "m"),
    ]
    found = from_json(to_json(iter(listed)))
    assert [type(trigger.spec) for trigger in found] == [Timer, CronRule, FileMonitor]
    assert found == listed
