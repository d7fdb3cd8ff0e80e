"""Output and exit codes of `heliograph stack`."""

import importlib
import json
import time

import pytest
from click.testing import CliRunner

from heliograph._core.thread_stacks import Frame, ThreadStack
from heliograph.cli import main
from heliograph.insights import ProcessStacks
from heliograph.ipc.control_client import RequestFailed

MODULE = importlib.import_module("heliograph.cli.stack")
"""The module. The package has the command under its name."""

THREADS = (
    ThreadStack("12", "main", (Frame("/shop/tasks.py", 7, "refresh"), Frame("", 0, "???")), ("...",)),
    ThreadStack("17", "", ()),
)
TEXT = """\
mule1 (pid 12, started 1h05m ago)
  Thread 12 (main), most recent call last:
    ...
    File "/shop/tasks.py", line 7, in refresh
    File "?", line ?, in ???
  Thread 17, most recent call last:
fork-server3 (pid 13)
"""


@pytest.fixture
def answers(monkeypatch, tmp_path):
    """Answers of a server, and the processes that were asked for."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    found = {"answer": [], "asked": []}

    def read_stacks(_path, processes):
        found["asked"].append(processes)
        if isinstance(found["answer"], Exception):
            raise found["answer"]
        return found["answer"]

    monkeypatch.setattr(MODULE, "read_stacks", read_stacks)
    return found


def invoke(*arguments):
    return CliRunner().invoke(main, ["stack", *arguments])


def test_the_frames_of_each_thread(answers):
    """Innermost last, with the time since the start of the process if it is known."""
    now = time.time()
    answers["answer"] = [
        ProcessStacks("mule1", 12, now - 3930, THREADS, None),
        ProcessStacks("fork-server3", 13, None, (), None),
    ]
    done = invoke("mule1", "fork-server")
    assert (done.exit_code, done.stdout, done.stderr) == (0, TEXT, "")
    assert answers["asked"] == [("mule1", "fork-server")]
    assert json.loads(invoke("--all", "--json").stdout)[0] == {
        "process": "mule1",
        "pid": 12,
        "since": now - 3930,
        "threads": [
            {
                "id": "12",
                "name": "main",
                "frames": [
                    {"file": "/shop/tasks.py", "line": 7, "function": "refresh"},
                    {"file": "", "line": 0, "function": "???"},
                ],
                "remarks": ["..."],
            },
            {"id": "17", "name": "", "frames": [], "remarks": []},
        ],
        "error": None,
    }
    assert answers["asked"][-1] == ()


def test_a_process_that_does_not_answer(answers):
    """The others are shown, and the exit code is 1."""
    answers["answer"] = [
        ProcessStacks("mule1", 12, None, (), "mule1 did not answer within 5 s: it is stopped (state T)."),
        ProcessStacks("mule2", 13, None, (), None),
        ProcessStacks("mule3", 14, None, THREADS[1:], "mule3 did not answer within 5 s: it waits in the kernel."),
    ]
    done = invoke("--all")
    assert (done.exit_code, done.stdout) == (
        1,
        "mule2 (pid 13)\nmule3 (pid 14)\n  Thread 17, most recent call last:\n",
    )
    assert done.stderr == (
        "Error: mule1 did not answer within 5 s: it is stopped (state T).\n"
        "Error: mule3 did not answer within 5 s: it waits in the kernel.\n"
    )
    assert invoke("--all", "--json").exit_code == 1


def test_a_request_that_is_refused(answers):
    """Exit code 2, with the reason of the server."""
    answers["answer"] = RequestFailed("bad_argument", "no such process: 'mule9'. Processes: master.")
    done = invoke("mule9")
    assert (done.exit_code, done.stderr) == (2, "Error: no such process: 'mule9'. Processes: master.\n")


@pytest.mark.parametrize("place", ["variable", "file"])
def test_a_server_on_uwsgi(monkeypatch, tmp_path, place):
    """The error names the tool that uWSGI has."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    if place == "file":
        (tmp_path / "heliograph.toml").write_text('engine = "uwsgi"\n')
    else:
        monkeypatch.setenv("HELIOGRAPH_RUN_ENGINE", "uwsgi")
    done = invoke("mule1")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: uWSGI answers no `heliograph stack`. Use its own tool: ")
    monkeypatch.delenv("HELIOGRAPH_RUN_ENGINE", raising=False)
    (tmp_path / "heliograph.toml").write_text('engine = "local"\n')
    assert "no heliograph server is running" in invoke("mule1").stderr


def test_without_a_process(answers):
    """Exit code 2."""
    done = invoke()
    assert (done.exit_code, answers["asked"]) == (2, [])
    assert done.stderr == (
        "Error: no process was named. Name some, for example `heliograph stack mule1`, or pass --all.\n"
    )
