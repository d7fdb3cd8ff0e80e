"""The directory of a server's tasks, as the master watches it."""

import os

import pytest

from heliograph.application import AppSpec
from heliograph.ipc.doorbell import Ring, ring
from heliograph.server.services.task_doorbell import TaskDoorbell
from heliograph.settings.options import ServerSettings

GONE = "The directory of tasks was removed or replaced: "
NO_LOCK = "The lock of the server is gone: "
NO_DOORBELL = "The doorbell of tasks is gone: "


@pytest.fixture
def rings():
    return []


@pytest.fixture
def doorbell(loop, rings, monkeypatch):
    """The open doorbell of a server with a spooler."""
    monkeypatch.setenv("XDG_STATE_HOME", str(loop.directory / "state"))
    settings = ServerSettings(AppSpec("app"), name="unit", spooler=loop.directory / "spool")
    service = TaskDoorbell(loop.selector, settings, rings.append)
    yield service
    service.close()


def handle_events(loop):
    while ready := loop.selector.select(0):
        for key, _ in ready:
            key.data(loop.now)


def logged(caplog):
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(("name", "text"), [("server", NO_LOCK), ("doorbell", NO_DOORBELL)])
def test_the_log_tells_which_file_of_the_server_is_gone(loop, rings, doorbell, caplog, name, text):
    """Once. The tasks are still run, and a reload makes the file again."""
    spool = loop.directory / "spool"
    (spool / name).unlink()
    handle_events(loop)
    assert doorbell.is_lost()
    (message,) = logged(caplog)
    assert message == doorbell.fault()
    assert message.startswith(f"{text}{spool / name}.")
    assert "Run `heliograph reload`" in message
    assert "Tasks are not run" not in message
    doorbell.open_if(tasks=True)
    assert not doorbell.is_lost()
    assert ring(str(spool), "mule")
    handle_events(loop)
    assert rings == [Ring("mule")]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_directory_that_was_moved_away_is_logged(loop, doorbell, caplog, replaced):
    """Once, also if another one is in its place. Put back, it is used again."""
    spool, away = loop.directory / "spool", loop.directory / "away"
    os.rename(spool, away)  # noqa: PTH104
    if replaced:
        spool.mkdir()
    handle_events(loop)
    assert doorbell.is_lost()
    (message,) = logged(caplog)
    assert message.startswith(f"{GONE}{spool}. Tasks are not run. Put it back")
    if replaced:
        spool.rmdir()
    os.rename(away, spool)  # noqa: PTH104
    assert doorbell.fault() == ""
    assert logged(caplog) == [message]


def test_the_removal_of_a_directory_that_processes_have_open_is_logged(loop, doorbell, caplog):
    """The kernel tells nothing about the directory itself then."""
    spool = loop.directory / "spool"
    opened = os.open(spool, os.O_RDONLY)
    try:
        for name in "doorbell", "server":
            (spool / name).unlink()
            handle_events(loop)
        spool.rmdir()
        assert logged(caplog)[-1].startswith(f"{GONE}{spool}.")
        assert doorbell.is_lost()
    finally:
        os.close(opened)
