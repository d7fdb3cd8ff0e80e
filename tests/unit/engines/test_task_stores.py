"""Making a store of tasks, while a server may run whose directory was moved away."""

import pytest
from click.testing import CliRunner

from heliograph import engines
from heliograph._core.tasks.values import NewTask
from heliograph.cli import main
from heliograph.engines.detached import DetachedEngine
from heliograph.exceptions import StoreError
from heliograph.ipc import control_client, control_sockets
from heliograph.ipc.control_client import ServerNotRunning
from heliograph.ipc.state_directory import note_store


@pytest.fixture
def spool(tmp_path, monkeypatch):
    """The directory of a server `shop`, which does not exist."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HELIOGRAPH_TASK_SYNC", "process")
    note_store("shop", tmp_path / "spool")
    return tmp_path / "spool"


@pytest.fixture
def answer(spool, monkeypatch):
    """Let a server answer with this state. An exception is raised instead."""
    state = {"tasks": str(spool), "tasks_lost": True}

    class Client(control_client.ControlClient):
        def __init__(self, path, _timeout):
            assert path == spool.parent / "shop.sock"

        def request(self, verb, **_):
            assert verb == "state"
            if "error" in state:
                raise state["error"]
            return state

        def close(self):
            pass

    servers = {"shop": (control_sockets.RunningServer(spool.parent / "shop.sock", 0),)}
    monkeypatch.setattr(control_client, "ControlClient", Client)
    monkeypatch.setattr(control_sockets, "find", lambda name: servers.get(name, ()))
    return state


def enqueue(directory):
    with engines.using(DetachedEngine(directory=directory)):
        store = engines.current().task_store()
        store.enqueue([NewTask("a:b", "mule")], 1)
        store.close()


@pytest.mark.usefixtures("answer")
@pytest.mark.parametrize("exists", [False, True])
def test_no_process_makes_a_store_where_a_running_server_has_lost_its_own(spool, exists):
    """Neither the API nor the command, also if somebody has made the directory."""
    if exists:
        spool.mkdir(mode=0o700)
    with pytest.raises(StoreError, match=r"spool is damaged: its directory was removed\. Put it back"):
        enqueue(spool)
    done = CliRunner().invoke(main, ["enqueue", "a:b", "--unchecked", "--spooler", str(spool)])
    assert (done.exit_code, "its directory was removed" in done.stderr) == (2, True)
    assert list(spool.glob("*")) == []


@pytest.mark.usefixtures("answer")
@pytest.mark.parametrize(
    "change", [{"tasks_lost": False}, {"tasks": "/elsewhere"}, {"error": ServerNotRunning("it is busy")}]
)
def test_a_store_is_made_if_no_server_has_lost_it(spool, answer, change):
    answer.update(change)
    enqueue(spool)
    assert (spool / "tasks.db").exists()


@pytest.mark.usefixtures("answer")
def test_a_store_elsewhere_is_made(spool):
    enqueue(spool.parent / "other")
    assert (spool.parent / "other" / "tasks.db").exists()
