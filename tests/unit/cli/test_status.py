"""`heliograph status`: what it prints about a server, its exit codes, and waiting for a server that is ready."""

import json
import sys
import threading
from dataclasses import replace

import pytest
from click.testing import CliRunner
from tests.unit.insights.states import HANDLER, MIB, NOW, signal, state, store, task, trigger, with_process

from heliograph._core.layout import IncompatibleServer
from heliograph.cli import main, waiting
from heliograph.cli.status_text import WIDTH, server_lines
from heliograph.exceptions import ConfigError
from heliograph.insights import reader
from heliograph.insights.health import problems
from heliograph.insights.model import Running
from heliograph.ipc.control_client import RequestFailed, RequestTimeout, ServerNotRunning
from heliograph.server.services.control import Answer, ControlServer, Verb


def invoke(*arguments):
    return CliRunner().invoke(main, ["status", *arguments])


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """Let the command find a server in this state, or the error that reading it raises."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def show(found):
        def read(_path, _timeout):
            if isinstance(found, Exception):
                raise found
            return replace(found, problems=problems(found))

        monkeypatch.setattr(reader, "read_server", read)

    return show


def text_of(found):
    """The lines about a server in this state."""
    return "\n".join(server_lines(replace(found, problems=problems(found))))


def test_a_server_that_is_well():
    well = state(
        store=store(tasks=(task(counts={"READY": 2, "SUCCESSFUL": 3}), task(name="b:c", counts={"READY": 1}))),
        signals=(signal(sent=5, failed=1), signal(num=8, sent=2)),
    )
    lines = text_of(well).splitlines()
    assert lines[:2] == ["shop is well: shop, generation 2, up 1h23m", ""]
    assert lines[2].split() == ["process", "pid", "state", "since", "restarts", "memory", "runs"]
    assert lines[3].split() == ["master", "100", "running", "16m", "0", "20.0", "MiB"]
    assert lines[8:] == [
        "",
        "signals: 2 with a handler, 7 sent, 1 failed, 0 queued, 0 sends rejected",
        "triggers: 1, 0 runs missed, next: nightly in 1m00s",
        "tasks: 3 READY, 3 SUCCESSFUL, in /var/lib/shop",
        "files: 1.0 MiB, write-ahead log 0 B, free: 1000.0 MiB",
        "SQLite 3.51.3",
    ]


def test_what_is_wrong_comes_first_and_the_process_shows_what_it_runs():
    lines = text_of(with_process(running=(HANDLER,), restarts=3)).splitlines()
    assert lines[:5] == [
        "shop is degraded, 1 problem: shop, generation 2, up 1h23m",
        "",
        "critical: mule1 has run the handler shop.refresh of signal 7 for 12 s.",
        "  Run `heliograph stack mule1` to see where it is, and give it a time limit.",
        "  [hung_handler]",
    ]
    assert next(line for line in lines if line.startswith("mule1")).split() == [
        *("mule1", "100", "running", "16m", "3", "20.0", "MiB", "shop.refresh", "12s"),
    ]


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"is_ready": False}, "shop is starting: "),
        ({"is_ready": False, "rejected_at": NOW}, "shop is starting, 1 problem: "),
        ({"is_stopping": True, "is_ready": False}, "shop is stopping: "),
        ({"is_loading": True}, "shop is well, loading new code: "),
        ({"rejected_at": NOW, "reload_failure": "E"}, "shop is degraded, 2 problems: "),
    ],
)
def test_the_first_line_says_how_the_server_is(changes, how):
    assert text_of(state(**changes)).startswith(how)


def test_no_line_is_longer_than_a_terminal_is_wide():
    """Except for a name that cannot be broken."""
    name = "shop.a.module.with.a.long.name.refresh_all_prices"
    handler = Running("signal", "refresh-all-prices", name, NOW - 100_000, is_overdue=True)
    found = replace(
        with_process(running=(handler,), pid=4_194_304, restarts=12_345, memory=1_500 * MIB, name="mule123"),
        rejected=123_456_789,
        rejected_at=NOW - 5,
        store=store(directory="/var/lib/shop/tasks", warning="SQLite 3.40.1 may lose commits. " * 4, free_bytes=1),
        triggers=(trigger(name="nightly-report-of-all-shops", last_missed=NOW - 100),),
        signals=tuple(signal(num=num, sent=10**9, failed=10**6) for num in range(200)),
    )
    lines = text_of(found).splitlines()
    assert [line for line in lines if len(line) > WIDTH] == []
    assert any(line.endswith("all_prices 1d03h") for line in lines)


def test_a_place_without_a_process():
    missing = {"pid": None, "status": "missing", "since": None, "memory": None, "generation": None}
    line = next(line for line in text_of(with_process(**missing)).splitlines() if line.startswith("mule1"))
    assert line.split() == ["mule1", "-", "missing", "-", "0", "-"]


def test_what_holds_tasks_back_is_shown():
    found = store(
        tasks=(task(counts={"READY": 2}, held_back="limit"), task(name="a:b", held_back="rate")),
        paused=("mule", "shop:two"),
    )
    text = text_of(state(store=found))
    assert "\npaused: mule, shop:two\nheld back: shop:send (limit reached)\n" in text
    assert "a:b" not in text


def test_a_store_that_cannot_be_read_has_no_figures():
    text = text_of(state(store=store(fault="cannot read it: /x", bytes=0)))
    assert "tasks: they cannot be read, in /var/lib/shop" in text
    assert "files:" not in text


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (state(), 0),
        (state(is_ready=False), 0),
        (with_process(running=(HANDLER,)), 1),
        (ServerNotRunning("no server answers"), 2),
        (RequestTimeout("timed out"), 1),
        (IncompatibleServer("another layout"), 1),
        (RequestFailed("unknown_verb", "unknown verb: details"), 1),
        (RequestFailed("forbidden", "not permitted"), 2),
        (ConfigError("bad answer"), 2),
    ],
)
def test_the_exit_code_says_how_the_server_is(shown, found, code):
    """0 well, 1 degraded, 2 not there."""
    shown(found)
    assert invoke().exit_code == code
    assert invoke("--json").exit_code == code


def test_a_server_that_does_not_answer_is_a_problem(shown):
    shown(RequestTimeout("timed out"))
    done = invoke("--timeout", "3")
    assert "critical: the server runs and has not answered for 3 s.\n" in done.stdout
    assert "[no_answer]" in done.stdout
    assert json.loads(invoke("--json").stdout)["problems"][0]["code"] == "no_answer"


def test_a_server_of_another_version_is_a_problem(shown):
    shown(IncompatibleServer("another layout of the shared memory: counters"))
    done = invoke()
    assert "another layout of the shared memory" in " ".join(done.stdout.split())
    assert "[mixed_versions]" in done.stdout


def test_json_is_the_whole_state(shown):
    shown(with_process(running=(HANDLER,)))
    found = json.loads(invoke("--json").stdout)
    assert found["problems"][0]["code"] == "hung_handler"
    assert found["processes"][2]["running"] == [
        {"kind": "signal", "name": "7", "handler": "shop.refresh", "since": NOW - 12, "id": None, "is_overdue": True}
    ]


class Server:
    """A server that loads its application, as a thread that answers for the master."""

    def __init__(self, loop, path, *, is_ready=False, event=None):
        """`event` is pushed to a client that subscribes."""
        self._is_ready, self._event = is_ready, event
        self._loop, self._calls, self._over = loop, [], False
        verbs = {"details": Verb(self._details, "read"), "subscribe": Verb(self._subscribe, "read")}
        loop.listeners.append(ControlServer(path, loop.selector, verbs))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._over:
            for key, _ in self._loop.selector.select(0.01):
                key.data(self._loop.now)
            while self._calls and self._event:  # after the answer to the request
                self._calls.pop().push(self._event)

    def _details(self, _call):
        return Answer({"is_ready": self._is_ready})

    def _subscribe(self, call):
        call.hold()
        self._calls.append(call)
        return Answer({"complete": False})

    def close(self):
        self._over = True
        self._thread.join()


@pytest.fixture
def start(loop, directory):
    servers = []

    def start(**facts):
        servers.append(Server(loop, directory / "sock", **facts))

    yield start
    for server in servers:
        server.close()


def wait(directory, seconds=20.0):
    waiting.wait_until_ready(lambda: directory / "sock", seconds)


def test_a_ready_server_is_not_waited_for(start, directory):
    start(is_ready=True)
    wait(directory, 0.5)


def test_a_server_that_loads_is_waited_for(start, directory):
    start(event={"type": "complete", "generation": 1})
    wait(directory)


def test_a_server_that_is_still_to_be_started_is_waited_for(start, directory):
    starting = threading.Timer(0.3, start, kwargs={"is_ready": True})
    starting.start()
    wait(directory)
    starting.join()


def test_a_failed_load_ends_the_wait(start, directory):
    """With the exit code 1 and the exception."""
    event = {"type": "load_failed", "generation": 1, "reason": "Traceback\nSyntaxError: invalid syntax"}
    start(event=event)
    with pytest.raises(waiting.Rejected, match="the application did not load: SyntaxError: invalid syntax") as failure:
        wait(directory)
    assert failure.value.exit_code == 1


@pytest.mark.parametrize("is_there", [True, False])
def test_a_wait_ends_in_time(start, directory, is_there):
    """With the exit code 2."""
    if is_there:
        start()
    with pytest.raises(waiting.CommandError, match=r"sock was ready within 0.2 s") as failure:
        wait(directory, 0.2)
    assert failure.value.exit_code == 2


def test_waiting_for_a_server_of_another_version_says_so(shown, monkeypatch):
    """It does not know the request. Then waiting has no end, and the advice is that of the command without it."""
    shown(state())

    class Older:
        def __init__(self, path, timeout):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            pass

        def request(self, verb):
            raise RequestFailed("unknown_verb", f"unknown verb: {verb!r}")

    monkeypatch.setattr(waiting, "ControlClient", Older)
    done = invoke("--wait-ready", "7")
    assert done.exit_code == 1
    assert "[mixed_versions]" in done.stdout


def test_the_command_waits_and_shows_the_state(shown, monkeypatch):
    """Problems do not change the exit code then."""
    asked = []
    module = sys.modules["heliograph.cli.status"]  # the package has the command under this name
    monkeypatch.setattr(module, "wait_until_ready", lambda find, seconds: asked.append((find(), seconds)))
    shown(with_process(running=(HANDLER,)))
    done = invoke("--wait-ready", "7", "--name", "shop")
    assert (done.exit_code, [(path.name, seconds) for path, seconds in asked]) == (0, [("shop.sock", 7.0)])
    assert done.stdout.startswith("shop is degraded")
