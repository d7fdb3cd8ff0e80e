"""Details as lines of text."""

from __future__ import annotations

import pytest

from heliograph.insights.model import Distribution
from heliograph.top.rates import Look
from heliograph.top.views import Row
from heliograph.top.views.histogram import bar, histogram_lines, percentiles
from heliograph.top.views.processes import process_lines
from heliograph.top.views.signals import signal_lines
from heliograph.top.views.tasks import task_error, task_lines
from heliograph.top.views.triggers import trigger_lines

EMPTY = Distribution(0, 0.0, (), None, None, None)


def row(states, item, state=None):
    return Row("key", item, Look(state or states.well()))


def text(lines):
    return "\n".join(line.text for line in lines)


@pytest.mark.parametrize("width", [10, 40, 100])
def test_the_largest_bucket_fills_the_width(width):
    times = Distribution(30, 1.0, ((0.001, 10), (0.002, 20)), 0.002, 0.002, 0.002)
    title, small, large = histogram_lines("Time", times, width)
    assert title.text.startswith("Time: p50 2ms, p95 2ms, p99 2ms, mean 33.3ms, 30 times")
    assert len(large.text) == max(width, 25)
    assert large.text.count("█") == pytest.approx(2 * small.text.count("█"), abs=1)


def test_a_histogram_without_times_says_so():
    assert text(histogram_lines("Time", EMPTY, 80)) == "Time: -\n  no measurements so far"
    assert percentiles(EMPTY) == "-"


def test_a_share_above_zero_is_visible():
    assert bar(0.0001, 10) == "▏"
    assert not bar(0, 10)
    assert bar(1, 10) == "█" * 10


def test_a_process_that_exited_tells_why(states):
    exit_ = states.unwell().processes[4].last_exit
    found = text(process_lines(row(states, states.process("mule2", restarts=3, early_exits=2, last_exit=exit_)), 80))
    assert "4, 2 early exits" in found
    assert "signal 9 (SIGKILL) (process 1180" in found
    assert "unexpected" in found


def test_a_process_that_is_missing_has_no_pid(states):
    gone = states.process("mule2", pid=None, status="missing", since=None, memory=None, generation=None)
    found = text(process_lines(row(states, gone), 80))
    assert "status        missing\n" in found
    assert "pid           -" in found
    assert "memory        not known" in found


def test_the_problems_of_a_thing_stand_first(states):
    state = states.unwell()
    lines = signal_lines(row(states, state.signals[1], state), 80)
    assert lines[0].text.startswith("! Signal 7 has 412 of 500 places")


def test_the_counts_of_a_task_are_told(states):
    found = text(task_lines(row(states, states.task("shop:send", {"READY": 2, "FAILED": 0, "DEAD": 1})), 80))
    assert "2 READY, 1 DEAD" in found


def test_a_path_that_cannot_be_watched_is_told(states):
    trigger = states.trigger("prices", kind="file", fault="no such directory", late=4.0, missed=1, last_missed=1.0)
    lines = trigger_lines(row(states, trigger), 80)
    assert lines[-1] == ("fault         no such directory", "bold red")
    assert "1, last 1970-01-01" in text(lines)


def test_the_newest_traceback_of_a_task_stands_first():
    errors = [{"type": "E", "traceback": "first"}, {"type": "E", "traceback": "second\x1b[2J"}]
    found = task_error({"args": [1], "kwargs": {}, "errors": errors})
    assert found == "arguments: [1] {}\n\nsecond\\x1b[2J\n\nfirst"
