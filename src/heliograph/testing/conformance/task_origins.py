"""Guarantees J12-J15: tasks from other processes, triggers and other versions of the code, and in tests."""

from __future__ import annotations

import os
import subprocess
import sys

from heliograph import TaskStatus
from heliograph._core.tasks.values import NewTask
from heliograph.testing.conformance.actions import FIRST
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.conformance.task_actions import (
    facts,
    finish,
    journal,
    put,
    put_row,
    store_directory,
    text_of,
)
from heliograph.testing.harness.agent import LOG
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import TIMEOUT, Harness, eventually
from heliograph.testing.harness.inline import InlineHarness
from heliograph.testing.harness.server import ServerHarness

C = Capability

_OUTSIDE = """
import sys
from heliograph.testing.harness.tasks import TASKS
print(TASKS["mule1"].enqueue(sys.argv[1]).id)
"""


@guarantee("J12", C.MULES, C.SERVER)
def test_j12_a_process_outside_of_the_server_enqueues_tasks(harness: ServerHarness) -> None:
    """A shell, a cron job or a management command. It finds the store by its directory or by the server's name."""
    text = text_of("from outside")
    directory = harness.call(FIRST, store_directory)
    env = {**os.environ, "HELIOGRAPH_SPOOLER": directory, LOG: str(harness.log)}
    command = [sys.executable, "-c", _OUTSIDE, text]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=TIMEOUT)  # noqa: S603
    assert not done.returncode, done.stderr
    assert finish(harness, done.stdout.strip())["value"] == text


@guarantee("J13", C.MULES, C.FAKE_CLOCK)
def test_j13_a_cron_rule_enqueues_a_task_once_for_each_time(harness: InlineHarness) -> None:
    """Also over the changes of the clock in spring and autumn."""
    before = len(journal(harness, "tick"))
    clock = harness.engine.clock
    for change in (1_774_746_000, 1_792_890_000):  # Berlin changes its clocks in 2026
        clock.set(change - 150)
        harness.advance_time(300)
    ticks = journal(harness, "tick")[before:]
    assert len({int(line.time // 60) for line in ticks}) == len(ticks)
    assert len({line.id for line in ticks}) == len(ticks) in (8, 9, 10)


@guarantee("J13", C.MULES, C.REAL_MINUTES)
def test_j13_a_cron_rule_enqueues_a_task(harness: ServerHarness) -> None:
    """In the first seconds of its minute."""
    (line, *_) = eventually("a task of the cron rule", lambda: journal(harness, "tick"), 80)
    assert line.time % 60 < 10


@guarantee("J14", C.MULES)
def test_j14_a_task_of_an_unknown_function_waits(harness: Harness) -> None:
    """No attempt counts, and other tasks pass it."""
    task_id = harness.call(FIRST, put_row, NewTask("harness:not in this version", "mule1", priority=100))
    finish(harness, put(harness, "mule1", text_of("passes the unknown one")))
    found = facts(harness, task_id)
    assert (found["status"], found["attempts"], found["errors"]) == (TaskStatus.READY, 0, [])


@guarantee("J14", C.MULES)
def test_j14_arguments_of_another_version_are_a_failure(harness: Harness) -> None:
    """The reason names the argument. The function is not called."""
    before = len(journal(harness))
    row = NewTask("harness:note in mule1", "mule1", b'[[],{"old_name":1}]')
    found = finish(harness, harness.call(FIRST, put_row, row))
    assert (found["status"], found["attempts"]) == (TaskStatus.FAILED, 1)
    assert "'text'" in found["errors"][0][1]
    assert "harness:note in mule1" in found["errors"][0][1]
    assert len(journal(harness)) == before


@guarantee("J15", C.MULES, C.FAKE_CLOCK)
def test_j15_tests_can_look_at_tasks(harness: InlineHarness) -> None:
    """The inline engine runs them at once, or when its clock is advanced."""
    text = text_of("looked at")
    count = len(harness.engine.enqueued)
    with harness.engine.paused():
        put(harness, "mule1", text, priority=7)
        (waiting,) = harness.engine.enqueued[count:]
    assert (waiting.name, waiting.args, waiting.priority) == ("harness:note in mule1", [text], 7)
    assert waiting.status is TaskStatus.READY
    assert harness.engine.enqueued[-1].status is TaskStatus.SUCCESSFUL
