"""Rates from two looks, and the thread that looks."""

from __future__ import annotations

import threading

import pytest

from heliograph.ipc.control_client import ServerNotRunning
from heliograph.top.rates import look_after
from heliograph.top.reader import Watcher
from heliograph.top.views import PROCESSES, TASKS
from heliograph.top.views.processes import running_text
from heliograph.top.views.tasks import held_text

DEADLINE = 20.0


def later(states, seconds=2.0, **changes):
    return states.well(looked_at=states.NOW + seconds, **changes)


def test_the_first_look_has_no_rates(states):
    assert look_after(None, states.well()).rate("sent", "7") is None


def test_a_rate_is_the_difference_by_the_seconds(states):
    signals = (states.signal(7, sent=180, done=161),)
    look = look_after(states.well(), later(states, signals=signals))
    assert look.rate("sent", "7") == 10
    assert look.rate("done", "7") == 0.5
    assert look.rate("handled", "mule1") == 0


def test_a_new_signal_has_no_rate_yet(states):
    look = look_after(states.well(), later(states, signals=(states.signal(99),)))
    assert look.rate("sent", "99") is None


@pytest.mark.parametrize("changes", [{"pid": 9}, {"started_at": 1.0}])
def test_another_server_is_not_compared(states, changes):
    assert not look_after(states.well(), later(states, **changes)).rates


def test_a_start_that_is_computed_anew_is_the_same_start(states):
    assert look_after(states.well(), later(states, started_at=states.NOW - 11_520.3)).rates


def test_a_clock_that_was_set_back_gives_no_rates(states):
    assert not look_after(states.well(), later(states, -5)).rates


def test_a_counter_that_went_down_gives_no_negative_rate(states):
    look = look_after(states.well(), later(states, signals=(states.signal(7, sent=3),)))
    assert look.rate("sent", "7") == 0


def test_a_process_that_runs_nothing_shows_nothing(states):
    assert not running_text((), states.NOW)


def test_the_longest_of_several_is_shown_with_the_number_of_the_others(states):
    from heliograph.insights.model import Running

    runs = (
        Running("task", "shop:b", "shop:b", states.NOW - 2, "1f"),
        Running("signal", "7", "shop.pay.a", states.NOW - 9),
    )
    assert running_text(runs, states.NOW) == "9s a and 1 more"


def test_reasons_for_which_tasks_do_not_begin_are_told(states):
    task = states.task("shop:send", {}, is_paused=True, is_known=False, held_back="rate")
    assert held_text(task, ("spooler",)) == "target paused, unknown function, rate reached"
    assert held_text(task, ("shop:send", "spooler")) == "paused, unknown function, rate reached"
    assert not held_text(states.task("shop:send", {}), ("mule",))


def test_the_worst_problem_of_a_thing_marks_its_row(states):
    look = look_after(None, states.unwell())
    marks = {row.key: row.severity for row in PROCESSES.rows(look)}
    assert marks["mule1"] == "critical"
    assert marks["mule2"] is None


def test_a_server_without_tasks_has_no_rows(states):
    assert TASKS.rows(look_after(None, states.well(store=None))) == []


class Script:
    """A server that does what a script says: a state, or an error."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.closed = 0
        self.connected = 0

    def connect(self):
        self.connected += 1
        return self

    def look(self):
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def close(self):
        self.closed += 1


def test_a_lost_connection_is_told_and_made_again(states):
    told = []
    script = Script(states.well(), ServerNotRunning("gone."), later(states))
    watcher = Watcher(script.connect, 1.0, lambda look: told.append(look.state.looked_at), told.append)
    for _ in range(3):
        watcher.look()
    assert told == [states.NOW, "gone.", states.NOW + 2]
    assert (script.connected, script.closed) == (2, 1)


def test_rates_continue_after_a_lost_connection(states):
    looks = []
    script = Script(states.well(), ServerNotRunning("gone."), later(states))
    watcher = Watcher(script.connect, 1.0, looks.append, lambda _: None)
    for _ in range(3):
        watcher.look()
    assert looks[-1].rate("sent", "7") == 0


def test_it_looks_again_and_again_until_it_is_stopped(states):
    third = threading.Event()
    script = Script(*(later(states, second) for second in range(1000)))
    looks = []

    def looked(look):
        looks.append(look)
        if len(looks) == 3:
            watcher.stop()
            third.set()

    watcher = Watcher(script.connect, 0.01, looked, lambda _: None)
    watcher.start()
    assert third.wait(DEADLINE)
    assert len(looks) == 3


def test_another_request_takes_the_place_of_a_look(states):
    """At most one request an interval."""
    script = Script(*(later(states, second) for second in range(10)))
    looked = threading.Event()
    watcher = Watcher(script.connect, 3600.0, lambda _: looked.set(), lambda _: None)
    watcher.start(states.well())
    assert not looked.wait(0.2)
    watcher.stop()
