"""The process that watches the files asks the master, and says what is wrong with the new code."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from heliograph.application import summary_of
from heliograph.ipc.control_client import RequestFailed, ServerNotRunning
from heliograph.reloading import requests
from heliograph.reloading.options import ReloaderOptions
from heliograph.reloading.requests import loaded_at, reason_for, reload_in_thread

HERE = Path("/srv/shop")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (["/srv/shop/shop/tasks.py"], "shop/tasks.py changed"),
        (["/srv/shop/a.py", "/srv/shop/b.py"], "a.py changed and 1 more"),
        (["/srv/shop/a.py"] * 4, "a.py changed and 3 more"),
        (["/srv/lib/a.py"], "/srv/lib/a.py changed"),
        (["/srv/" + 300 * "a"], 200 * "a" + " changed"),
    ],
)
def test_the_reason_names_the_last_changed_file(changed, reason):
    """In a short line, relative to the working directory."""
    assert reason_for(changed, HERE) == reason


TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/shop/tasks.py", line 12, in <module>
    import views
  File "/srv/shop/.venv/lib/python3.13/site-packages/flask/app.py", line 3, in route
ValueError: bad
"""


def test_the_summary_prefers_the_files_of_the_application():
    """An error in a library is mostly one of its caller."""
    assert summary_of(TRACEBACK, HERE) == "ValueError: bad (shop/tasks.py, line 12)"
    assert summary_of(TRACEBACK).endswith("site-packages/flask/app.py, line 3)")
    assert summary_of(TRACEBACK, Path("/elsewhere")).endswith("site-packages/flask/app.py, line 3)")
    assert summary_of("it does not load") == "it does not load"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            RequestFailed("load_failed", "SyntaxError: bad"),
            "WARNING The new code does not load, the old code goes on: ",
        ),
        (
            RequestFailed("web_server_failed", "exit code 3"),
            "WARNING The web server does not start with the new code: ",
        ),
        (RequestFailed("busy", "too many clients"), "ERROR Cannot reload: too many clients"),
        (RequestFailed("stopping", "it stops"), ""),
        (ServerNotRunning("no server"), "ERROR Cannot reload: no server"),
        (None, ""),
    ],
)
def test_what_comes_of_a_reload(monkeypatch, caplog, error, says):
    """A reload that works is a line of the master. A server that stops needs none."""
    asked = []

    def request(path, verb, **arguments):
        asked.append((path, verb, arguments["reason"], arguments["wait"]))
        if error is not None:
            raise error

    monkeypatch.setattr(requests, "request", request)
    reload_in_thread(Path("x.sock"), "a.py changed").join()
    assert asked == [(Path("x.sock"), "reload", "a.py changed", True)]
    assert "".join(f"{record.levelname} {record.message}" for record in caplog.records).startswith(says)
    assert bool(caplog.records) is bool(says)


def test_the_options_reach_the_process():
    """As they are."""
    options = ReloaderOptions(("/a", "/b"), ("*.py",), "info", "")
    assert ReloaderOptions.from_json(options.to_json()) == options
    assert options.roots == (Path("/a"), Path("/b"))


def test_a_server_that_does_not_answer_has_loaded_now(tmp_path, monkeypatch):
    """Only later changes count then. The process that watches must not fail for that."""
    monkeypatch.setattr(requests, "request", lambda *_: {"load_began_at": 12.5})
    assert loaded_at(tmp_path) == 12.5
    monkeypatch.undo()
    before = time.time()
    assert before <= loaded_at(tmp_path / "no.sock") <= time.time()
