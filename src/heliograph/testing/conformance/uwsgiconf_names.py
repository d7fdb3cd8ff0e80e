"""Guarantees J1, J3, J5, J8 and J11 by the names of `uwsgiconf`: the spooler, messages, and offloaded functions."""

from __future__ import annotations

import pytest

from heliograph import TaskStatus
from heliograph.exceptions import TargetError, TaskArgumentError
from heliograph.testing.conformance.actions import FIRST
from heliograph.testing.conformance.call_actions import (
    call,
    call_each,
    send_note,
    send_to_farm,
    send_to_mule,
    spooler_facts,
    take_message,
    take_message_of_farm,
)
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.conformance.task_actions import finish, journal, pause, resume, text_of
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import TIMEOUT, Harness, eventually
from heliograph.testing.harness.server import ServerHarness

C = Capability


@guarantee("J1", C.MULES)
def test_j1_a_message_to_the_spooler_is_processed_once(harness: Harness) -> None:
    """By the class of its type. Until then `Spooler.get_tasks` has its id, and `read_task_file` its facts."""
    text = text_of("message")
    task_id = harness.call(FIRST, send_note, {"text": text}, 0.3)
    found = harness.call(FIRST, spooler_facts, task_id)
    assert found["unfinished"]
    assert (found["task"]["msg"], found["task"]["payload"]) == ("ucfg_harness", {"text": text})
    assert len(found["spoolers"]) == 1
    assert found["named"] == found["spoolers"]
    harness.advance_time(1)
    assert finish(harness, task_id)["status"] is TaskStatus.SUCCESSFUL
    (line,) = journal(harness, text)
    assert (line.id, line.process) == (task_id, "spooler1")
    assert found["pids"] == ([line.pid] if harness.can(C.SERVER) else [])
    found = harness.call(FIRST, spooler_facts, task_id)
    assert (found["unfinished"], found["task"]["status"]) == (False, "SUCCESSFUL")


@guarantee("J1", C.MULES, C.SERVER)
def test_j1_a_message_waits_for_a_mule_that_was_killed(harness: ServerHarness) -> None:
    """Its successor takes it."""
    text = text_of("to a killed mule")
    assert harness.call(FIRST, send_to_mule, 2, text)
    pid = harness.kill("mule2")
    harness.await_successor("mule2", pid)
    assert harness.call("mule2", take_message, TIMEOUT) == text


@guarantee("J3", C.MULES)
def test_j3_a_call_in_the_spooler_ends_with_a_value(harness: Harness) -> None:
    """Of any type, also where uWSGI would run it again."""
    text = text_of("spooled")
    found = finish(harness, harness.call(FIRST, call, "spooled", text))
    assert (found["status"], found["attempts"]) == (TaskStatus.SUCCESSFUL, 1)
    assert [line.process for line in journal(harness, f"{text} 1")] == ["spooler1"]


@guarantee("J3", C.MULES)
def test_j3_a_rescheduled_message_is_processed_again(harness: Harness) -> None:
    """After the period, as a call is that has raised an exception or returned `uwsgi.SPOOL_RETRY`."""
    rescheduled, failed, returned = text_of("rescheduled"), text_of("fails once"), text_of("returns retry")
    ids = [harness.call(FIRST, send_note, {"text": rescheduled, "again": True})]
    ids.append(harness.call(FIRST, call, "failing_once", failed))
    ids.append(harness.call(FIRST, call, "returning_retry_once", returned))
    assert [finish(harness, task_id)["attempts"] for task_id in ids] == [2, 2, 2]
    assert [len(journal(harness, text)) for text in (rescheduled, failed, returned)] == [2, 2, 2]


@guarantee("J5", C.MULES)
def test_j5_a_larger_priority_of_the_spooler_runs_later(harness: Harness) -> None:
    """As uWSGI orders them."""
    texts = [text_of(name) for name in ("later", "earlier")]
    harness.call(FIRST, pause, "default")
    try:
        ids = harness.call(FIRST, call_each, [("later", texts[0]), ("earlier", texts[1])])
    finally:
        harness.call(FIRST, resume, "default")
    for task_id in ids:
        finish(harness, task_id)
    assert [line.text for line in journal(harness) if line.text in texts] == texts[::-1]


@guarantee("J8", C.MULES)
def test_j8_a_call_is_pickled_only_where_the_function_says_so(harness: Harness) -> None:
    """Otherwise an argument that JSON does not have is an error, and nothing is stored."""
    text = text_of("in a set")
    error = harness.call(FIRST, call, "spooled", {text})
    assert isinstance(error, TaskArgumentError)
    assert "allow_pickle=True" in str(error)
    finish(harness, harness.call(FIRST, call, "spooled_by_pickle", {text}))
    assert len(journal(harness, text)) == 1
    assert isinstance(harness.call(FIRST, send_note, {"text": {text}}), TaskArgumentError)


@guarantee("J8", C.MULES)
def test_j8_a_message_is_never_cut(harness: Harness) -> None:
    """One that is too large is an error. A reader with too small a buffer leaves it to the next."""
    assert isinstance(harness.call(FIRST, send_to_mule, 1, "x" * 2**21), TaskArgumentError)
    text = text_of("x" * 100_000)
    assert harness.call(FIRST, send_to_mule, 1, text)
    assert isinstance(harness.call("mule1", _take_short), TaskArgumentError)
    assert harness.call("mule1", take_message, TIMEOUT) == text


def _take_short() -> object:
    return take_message(TIMEOUT, size=1000)


@guarantee("J11", C.MULES)
@pytest.mark.parametrize(
    ("name", "processes"),
    [("in_first_mule", ["mule1"]), ("in_second_mule", ["mule2"]), ("in_farm", ["mule1", "mule2"])],
)
def test_j11_an_offloaded_call_runs_in_its_mule(harness: Harness, name: str, processes: list[str]) -> None:
    """`Mule.offload`, `Farm.offload` and `mule_offload`. The caller gets True."""
    text = text_of(name)
    assert harness.call(FIRST, call, name, {text} if name == "in_farm" else text) is True
    (line,) = eventually("the call", lambda: journal(harness, text))
    assert line.process in processes


@guarantee("J11", C.MULES)
def test_j11_a_message_reaches_its_mule(harness: Harness) -> None:
    """In the order of sending. Another mule does not get it, and one that does not exist is an error."""
    texts = [text_of("first"), text_of("second")]
    for text in texts:
        assert harness.call(FIRST, send_to_mule, 1, text) is True
    assert harness.call("mule2", take_message, 0) == ""
    assert [harness.call("mule1", take_message, TIMEOUT) for _ in texts] == texts
    assert harness.call("mule1", take_message, 0) == ""
    assert isinstance(harness.call(FIRST, send_to_mule, 9, "x"), TargetError)
    assert isinstance(harness.call(FIRST, take_message, 0), TargetError)


@guarantee("J11", C.MULES)
def test_j11_a_message_reaches_one_mule_of_its_farm(harness: Harness) -> None:
    """The first one that asks, by `Farm.get_message` or by `Mule.get_message(farms=True)`."""
    texts = [text_of("to a farm"), text_of("to a farm")]
    for text in texts:
        assert harness.call(FIRST, send_to_farm, "crunchers", text) is True
    assert harness.call("mule1", take_message, 0) == ""
    assert harness.call("mule2", take_message_of_farm) == texts[0]
    assert harness.call("mule1", _take_any) == texts[1]


def _take_any() -> object:
    return take_message(TIMEOUT, farms=True)
