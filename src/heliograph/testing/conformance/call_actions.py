"""Functions that the tests of `uwsgiconf`'s names call in the processes of a server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from heliograph import UwsgiconfException
from heliograph.runtime.mules import MAX_MESSAGE_BYTES, Farm, Mule
from heliograph.runtime.spooler import DEFAULT_PERIOD, Spooler

PERIOD = 0.05
"""Seconds from an attempt to the next one, in these tests."""


def call(name: str, *args: Any) -> Any:
    """Call a function of the application, and return what the caller gets. Return an error of heliograph."""
    from heliograph.testing.harness import calls

    Spooler.set_period(PERIOD)
    try:
        return calls.CALLS[name](*args)
    except UwsgiconfException as error:
        return error
    finally:
        Spooler.set_period(DEFAULT_PERIOD)


def call_each(found: list[tuple[str, str]]) -> list[str]:
    """Call several functions one after another."""
    return [call(*one) for one in found]


def send_note(payload: Any, seconds: float | None = None, spool: str | None = None) -> Any:
    """Send a message to the spooler. Return the id of its task, or an error of heliograph."""
    from heliograph.testing.harness.calls import Note

    Spooler.set_period(PERIOD)
    postpone = None if seconds is None else timedelta(seconds=seconds)
    try:
        return Spooler.send_message_raw(**Note.build_message(payload=payload, postpone=postpone, spooler=spool))
    except UwsgiconfException as error:
        return error
    finally:
        Spooler.set_period(DEFAULT_PERIOD)


def spooler_facts(task_id: str) -> dict[str, Any]:
    """Return what the spooler tells of itself and of a task."""
    return {
        "spoolers": [str(found) for found in Spooler.get_spoolers()],
        "named": [str(Spooler.get_by_basename(str(found).rpartition("/")[2])) for found in Spooler.get_spoolers()],
        "pids": Spooler.get_pids(),
        "unfinished": task_id in Spooler.get_tasks(),
        "task": Spooler.read_task_file(task_id),
    }


def send_to_mule(number: int, message: str | bytes) -> Any:
    """Send a message to a mule. Return an error of heliograph."""
    try:
        return Mule(number).send(message)
    except UwsgiconfException as error:
        return error


def send_to_farm(name: str, message: str) -> bool:
    """Send a message to a farm."""
    return Farm(name).send(message)


def take_message(timeout: float, *, farms: bool = False, size: int = MAX_MESSAGE_BYTES) -> Any:
    """Take a message to the mule that this process is. Return an error of heliograph."""
    try:
        return Mule.get_message(timeout=timeout, farms=farms, buffer_size=size)
    except UwsgiconfException as error:
        return error


def take_message_of_farm() -> str:
    """Take a message to a farm of the mule that this process is. Wait for it."""
    return Farm.get_message()
