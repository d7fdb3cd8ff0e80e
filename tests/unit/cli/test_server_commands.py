"""Output and exit codes of `signals`, `schedule`, `reload` and `stop`."""

import json

import pytest
from click.testing import CliRunner

import heliograph
from heliograph import remote
from heliograph.cli import main, server_commands
from heliograph.ipc.control_client import RequestFailed, RequestTimeout, ServerNotRunning

RUNS = [{"at": 0.0, "name": "nightly", "signal": 7}]


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The requests; `answer` in it is what a server says."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    found = {"requests": [], "answer": {}}

    def request(_path, verb, **arguments):
        found["requests"].append((verb, arguments))
        if isinstance(found["answer"], Exception):
            raise found["answer"]
        return found["answer"]

    monkeypatch.setattr(server_commands, "request", request)
    monkeypatch.setattr(server_commands, "stop_and_wait", lambda path, timeout: request(path, "stop", timeout=timeout))
    return found


def invoke(*arguments):
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(
    ("command", "count"), [(["schedule"], 10), (["schedule", "--next", "3"], 3), (["signals", "--next", "3"], 3)]
)
def test_schedule_prints_runs(asked, command, count):
    """`signals --next N` is the same command."""
    asked["answer"] = {"runs": RUNS}
    done = invoke(*command)
    assert (done.exit_code, asked["requests"]) == (0, [("schedule", {"count": count})])
    assert done.stdout.endswith("  signal   7  nightly\n")
    assert json.loads(invoke(*command, "--json").stdout) == RUNS


def test_an_empty_schedule(asked):
    asked["answer"] = {"runs": []}
    assert invoke("schedule").stdout == "No timers or cron rules are scheduled.\n"
    assert json.loads(invoke("schedule", "--json").stdout) == []


@pytest.mark.parametrize("count", ["0", "-1", "1001", "x"])
def test_a_bad_number_of_runs_is_bad_usage(asked, count):
    for command in ("schedule", "signals"):
        done = invoke(command, "--next", count)
        assert (done.exit_code, asked["requests"]) == (2, [])
        assert "--next" in done.stderr


def test_reload_waits_for_the_answer(asked):
    """One request, and no other."""
    asked["answer"] = {"generation": 4}
    done = invoke("reload", "--timeout", "7")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "Reload complete (generation 4)\n")
    assert asked["requests"] == [("reload", {"wait": True, "timeout": 7.0})]


@pytest.mark.parametrize("command", ["reload", "stop"])
def test_no_wait(asked, command):
    """The server answers at once, and nothing is printed."""
    done = invoke(command, "--no-wait", "--timeout", "7")
    assert (done.exit_code, done.output) == (0, "")
    assert asked["requests"] == [(command, {"wait": False, "timeout": 10.0})]


def test_a_reload_that_failed_says_why(asked):
    """Exit code 1, the exception and its place."""
    asked["answer"] = RequestFailed("load_failed", 'File "tasks.py", line 6\n    x(\nSyntaxError: was never closed\n')
    done = invoke("reload")
    assert done.exit_code == 1
    assert (
        done.stderr == "Error: reload failed, keeping the old code: SyntaxError: was never closed (tasks.py, line 6)\n"
    )


@pytest.mark.parametrize(
    ("reason", "printed"),
    [
        (
            f'  File "/shop/tasks.py", line 9\n  File "{heliograph.__file__}", line 3, in g\nTargetError: no mule9',
            "TargetError: no mule9 (/shop/tasks.py, line 9)",
        ),
        ("ConfigError: no such callable", "ConfigError: no such callable"),
    ],
)
def test_a_reload_that_failed_names_the_last_place_in_the_application(asked, reason, printed):
    """Frames of heliograph don't help the reader. Without a traceback there is no place."""
    asked["answer"] = RequestFailed("load_failed", reason)
    assert invoke("reload").stderr == f"Error: reload failed, keeping the old code: {printed}\n"


def test_a_reload_whose_web_server_does_not_start_says_what_to_do(asked):
    """Exit code 1, how it exited, and where its error is. The old code does not run any more."""
    asked["answer"] = RequestFailed("web_server_failed", "exit code 3, once")
    done = invoke("reload")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: the web server does not start with the new code: exit code 3, once. ")
    assert done.stderr.count("\n") == 1
    assert "the log" in done.stderr
    assert "keeping the old code" not in done.stderr


@pytest.mark.parametrize(
    ("web_server", "shown"),
    [
        (None, ""),
        ({"failure": None, "workers": 2, "expected": 2}, ""),
        ({"failure": None, "workers": 1, "expected": 2}, ", workers 1 of 2"),
        (
            {"failure": "exit code 3, 12 times", "workers": 0, "expected": 2},
            ", web server restarting (exit code 3, 12 times), workers 0 of 2",
        ),
    ],
)
def test_the_headline_names_a_web_server_that_does_not_work(web_server, shown):
    state = {"name": "shop", "app": "shop.tasks", "pid": 7, "processes": {"spooler1": 9}, "web_server": web_server}
    assert server_commands.headline(state) == f"shop: shop.tasks, master 7, spooler1 9{shown}"


def test_a_reload_that_is_refused(asked):
    """Exit code 2: it was not tried."""
    asked["answer"] = RequestFailed("stopping", "the server is stopping.")
    done = invoke("reload")
    assert (done.exit_code, done.stderr) == (2, "Error: the server is stopping.\n")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("reload", "the reload did not finish within 0.5 s. The server continues it."),
        ("stop", "the server did not stop within 0.5 s. It continues to stop."),
    ],
)
def test_a_timeout_is_an_error(asked, command, text):
    asked["answer"] = RequestTimeout("no server answers at there: timed out.")
    done = invoke(command, "--timeout", "0.5")
    assert done.exit_code == 2
    assert text in done.stderr


def test_every_command_has_a_short_help():
    """`heliograph --help` shows it whole."""
    listed = invoke("--help").stdout
    for command in ("signals", "schedule", "reload", "stop"):
        assert f"{main.commands[command].short_help}\n" in listed


def test_send_by_name(monkeypatch, asked):
    """0 accepted, 1 rejected, 2 no server. `heliograph list` prints the servers."""
    monkeypatch.setattr(remote, "request", server_commands.request)
    asked["answer"] = {"signal": 7}
    done = invoke("send", "refresh-prices", "--name", "shop")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "shop accepted signal 7\n")
    asked["answer"] = RequestFailed("failed", "no handler is registered")
    assert invoke("send", "refresh-prices", "--name", "shop").exit_code == 1
    asked["answer"] = ServerNotRunning("gone")
    assert invoke("send", "refresh-prices", "--name", "shop").exit_code == 2
    assert invoke("send", "refresh-prices", "127.0.0.1:1").exit_code == 2


def test_list_prints_the_running_servers(monkeypatch):
    """One a line, or as JSON."""
    monkeypatch.setattr(server_commands, "running_servers", lambda: ("news", "shop"))
    assert invoke("list").stdout == "news\nshop\n"
    assert json.loads(invoke("list", "--json").stdout) == ["news", "shop"]
    monkeypatch.setattr(server_commands, "running_servers", tuple)
    assert (invoke("list").stdout, invoke("list").stderr) == ("", "No server runs.\n")
    assert json.loads(invoke("list", "--json").stdout) == []
