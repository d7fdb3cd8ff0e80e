"""What a server remembers of its cron rules over a stop."""

import json
import selectors

import pytest

from heliograph._core.schedule.schedule import ClockReading, Schedule
from heliograph.models import CronRule, Trigger
from heliograph.triggers.last_runs import LastRunStore
from heliograph.triggers.scheduler import MasterScheduler

HOURLY = CronRule("0", "*", "*", "*", "*", "UTC")
HOUR = 3600.0
NOON = 1_767_268_800.0
"""2026-01-01 12:00 UTC."""


def rule(grace, name="hourly"):
    return Trigger(7, HOURLY, name, misfire_grace=grace)


def next_hour(_rule, after):
    return (after // HOUR + 1) * HOUR


@pytest.mark.parametrize(
    ("grace", "seen", "times"),
    [
        (600.0, NOON - 1800, 1),  # 12:00 came up while no server ran, five minutes ago
        (60.0, NOON - 1800, 0),  # too long ago by now
        (None, NOON - 1800, 0),  # says nothing of being late
        (600.0, NOON + 60, 0),  # seen to
        (7 * HOUR, NOON - 6 * HOUR, 1),  # several: one run makes up for all
        (600.0, NOON + HOUR, 0),  # the clock was set back meanwhile
        (600.0, None, 0),  # a rule that nobody knows
    ],
)
def test_a_rule_that_came_up_while_no_server_ran(grace, seen, times):
    """One with a `misfire_grace` is made up for by one run, if it is not too late."""
    schedule = Schedule(next_hour, lambda: 0.0)
    now = ClockReading(50.0, NOON + 300)
    schedule.replace_all([rule(grace)], now, {} if seen is None else {"hourly": seen})
    assert sum(firing.times for firing in schedule.due(now)) == times
    assert not schedule.due(ClockReading(60.0, NOON + 310))


def test_a_server_that_is_started_again_makes_up_for_it(tmp_path):
    """What one server has noted, the next of the name reads; a third finds it done."""
    raised = []
    now = ClockReading(0.0, NOON - 1800)

    def serve():
        with selectors.DefaultSelector() as selector:
            raiser = MasterScheduler(
                selector, lambda num: not raised.append(num), lambda _: False, lambda: now, LastRunStore(path)
            )
            raiser.replace_all([rule(3600.0), rule(None, "other")])
            raiser.tick()

    path = tmp_path / "state" / "x.json"
    serve()
    assert raised == []
    assert json.loads(path.read_text()) == {"hourly": now.wall}
    now = ClockReading(5.0, NOON + 900)
    serve()
    assert raised == [7]
    serve()
    assert raised == [7]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": "x"}', "\x00"])
def test_a_memo_that_cannot_be_read_is_none(tmp_path, caplog, text):
    """It is logged, and written anew."""
    path = tmp_path / "x.json"
    path.write_text(text)
    memo = LastRunStore(path)
    assert memo.load() == {}
    assert "cannot be read" in caplog.text
    memo.record({"a": 1.5})
    assert LastRunStore(path).load() == {"a": 1.5}


def test_a_memo_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    """It is logged, and known as long as the server lives."""
    (tmp_path / "file").write_text("")
    memo = LastRunStore(tmp_path / "file" / "x.json")
    memo.record({"a": 1.5})
    assert memo.load() == {"a": 1.5}
    assert "cannot be written" in caplog.text


def test_where_it_is(monkeypatch, tmp_path):
    """In the directory for what programs remember, by the server's name."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    LastRunStore.of_server("shop").record({"a": 1.0})
    assert (tmp_path / "heliograph" / "shop.json").exists()
