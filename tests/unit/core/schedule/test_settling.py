"""When a change fires: after a time without events, and at a bound if there is no such time."""

import math

from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.schedule.settling import MAX_SETTLES, Settling


def test_a_change_fires_when_nothing_more_changes():
    """Each event moves it. It fires once."""
    settling = Settling()
    assert (settling.wait(0.0), bool(settling)) == (math.inf, False)
    settling.add("a", 2.0, 10.0)
    assert (settling.wait(10.0), bool(settling)) == (2.0, True)
    settling.add("a", 2.0, 11.5)
    assert settling.take(13.0) == []
    assert settling.wait(13.0) == 0.5
    assert settling.take(13.5) == ["a"]
    assert (settling.take(14.0), bool(settling)) == ([], False)


def test_changes_of_several_paths_are_independent():
    """Each has its own time, and can be forgotten."""
    settling = Settling()
    for name, settle in (("a", 1.0), ("b", 3.0), ("c", 2.0), ("d", 2.0)):
        settling.add(name, settle, 0.0)
    settling.forget("d")
    settling.forget("unknown")
    assert settling.take(1.0) == ["a"]
    assert settling.wait(1.0) == 1.0
    assert settling.take(9.0) == ["b", "c"]


def test_a_path_that_changes_all_the_time_fires_at_the_bound():
    """A log file, for example. The event after that begins another change."""
    settling, fired = Settling(), []
    for tick in range(500):
        settling.add("log", 0.25, tick * 0.125)
        fired += [tick * 0.125 for _ in settling.take(tick * 0.125)]
    assert MAX_SETTLES == 20
    assert fired[:3] == [5.0, 10.125, 15.25]


@given(st.lists(st.floats(0.0, 0.5), min_size=1, max_size=40), st.floats(0.01, 1.0))
def test_no_event_is_forgotten(gaps, settle):
    """Whatever the times, a run comes after the last event, and not before the first has settled."""
    settling, now, runs = Settling(), 0.0, []
    for gap in gaps:
        now += gap
        runs += [now for _ in settling.take(now)]
        settling.add("a", settle, now)
    due = now + settling.wait(now)
    assert due <= now + settle
    assert settling.take(due + 1e-9) == ["a"]
    assert all(when >= gaps[0] + settle - 1e-9 for when in [*runs, due + 1e-9])
    assert len(runs) <= (now - gaps[0]) / settle + 1e-9
