"""The `heliograph` command, without a server."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

import heliograph
from heliograph.application import AppSpec
from heliograph.cli import main, server_commands, uwsgi_server
from heliograph.cli.run import ENGINES
from heliograph.exceptions import ConfigError
from heliograph.models import FarmSpec, Topology
from heliograph.settings.settings import ServerSettings

SIGNALS = "from heliograph import Signal\nSignal(1).register_handler()(print)\n"
WEB = "def app(environ, start_response): ...\n"


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Run in a directory with two applications; the engine writes down what it would start."""
    (tmp_path / "tasks.py").write_text(SIGNALS)
    (tmp_path / "web.py").write_text(WEB)
    monkeypatch.chdir(tmp_path)
    settings: list[ServerSettings] = []
    for engine in ENGINES:
        monkeypatch.setitem(ENGINES, engine, settings.append)
    return settings


def invoke(*arguments: str):
    return CliRunner().invoke(main, arguments)


def refused(*arguments: str) -> str:
    """What a refusal says: exit code 2, on stderr alone, no traceback."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.usefixtures("started")
def test_version_and_help_teach():
    """`--version` says the version; `--help` shows examples of running and sending."""
    assert heliograph.__version__ in invoke("--version").output
    for arguments, example in (
        (("--help",), "heliograph run shop.tasks"),
        (("run", "-h"), "--farm crunchers=1,2"),
        (("send", "--help"), "heliograph send 17 127.0.0.1:3031"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 0
        assert example in result.output


def test_python_m_heliograph_is_the_command():
    """`python -m heliograph` does the same."""
    done = subprocess.run(
        [sys.executable, "-m", "heliograph", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == f"heliograph, version {heliograph.__version__}"


def test_run_starts_one_worker_unless_told_otherwise(started):
    """`heliograph run APP` is one worker, one thread, nothing else."""
    result = invoke("run", "tasks")
    assert (result.exit_code, result.output) == (0, "")
    assert started == [ServerSettings(AppSpec("tasks"), Topology(workers=1))]


def test_run_hands_all_options_to_the_engine(started, tmp_path):
    """Each option arrives, parsed; the server's own flags as they are."""
    arguments = ["--engine", "uwsgi", "--workers", "3", "--mules", "2", "--farm", "a=1,2", "--farm", "b=2"]
    arguments += ["--spooler", "spool", "--http", "127.0.0.1:0", "--socket", "x.sock", "--lazy-apps", "--threads", "4"]
    result = invoke("run", "web.py:app", *arguments, "--", "--harakiri", "30", "-x")
    assert (result.exit_code, result.output) == (0, "")
    farms = (FarmSpec("a", (1, 2)), FarmSpec("b", (2,)))
    assert started == [
        ServerSettings(
            AppSpec(f"{tmp_path}/web.py", "app"),
            Topology(workers=3, mules=2, farms=farms, spoolers=1),
            spooler=Path("spool"),
            http="127.0.0.1:0",
            socket="x.sock",
            threads=4,
            lazy_apps=True,
            extra=("--harakiri", "30", "-x"),
        )
    ]


def test_run_says_when_a_web_application_is_served_nowhere(started):
    """A WSGI callable without --http and --socket runs, with a note on stderr."""
    result = invoke("run", "web:app", "--engine", "uwsgi")
    assert result.exit_code == 0
    assert "signals only" in result.stderr
    assert len(started) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--farm", "a=3", "--mules", "2"], "there is no mule 3"),
        (["--farm", "a"], "NAME=1,2"),
        (["--farm", "a=1", "--farm", "a=1", "--mules", "1"], "already is a farm 'a'"),
        (["--workers", "-1"], "--workers"),
        (["--workers", "0"], "--workers"),
        (["--workers", "many"], "--workers"),
        (["--mules", "-1"], "--mules"),
        (["--threads", "0"], "--threads"),
        (["--spooler", "no/such/spool"], "mkdir -p"),
        (["--http", "127.0.0.1:99999"], "not a port"),
        (["--socket", "no/such/x.sock"], "no directory"),
        (["--http", "127.0.0.1:0"], "no 'application' to serve"),
        (["--engine", "apache"], "--engine"),
        (["stray"], "'stray' was not expected"),
        (["--", "gunicorn"], "flags of uWSGI's own"),
    ],
)
def test_run_refuses_what_cannot_be(started, arguments, says):
    """Each setting that no server can have ends with exit code 2 and a line that says why; nothing is started."""
    assert says in refused("run", "tasks", *_on_uwsgi(arguments))
    assert started == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--max-signals", "9"], "--max-signals is for the local engine"),
        (["--time-limit", "9"], "--harakiri"),
        (["--allow-remote", "9"], "takes every signal"),
        (["--name", "x"], "found by its --socket"),
    ],
)
def test_run_says_what_uwsgi_has_instead(started, arguments, says):
    """What only a server of our own has is refused with uWSGI's way."""
    assert says in refused("run", "tasks", "--engine", "uwsgi", *arguments)
    assert started == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--http", "127.0.0.1:0"], "serves no HTTP"),
        (["--threads", "2"], "--threads"),
        (["--", "--harakiri", "9"], "--engine uwsgi"),
        (["--allow-remote", "256"], "0 to 255"),
        (["--allow-remote", "x"], "17,18"),
        (["--graceful-timeout", "-1"], "graceful_timeout"),
        (["--name", "a/b"], "--name"),
    ],
)
def test_run_refuses_what_a_server_of_our_own_cannot_do(monkeypatch, tmp_path, arguments, says):
    """One line, exit code 2, before anything is started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "tasks.py").write_text(SIGNALS)
    assert says in refused("run", "tasks", *arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tasks", "--mules", "1", "gunicorn", "-w", "2", "web:app"], "No such option '-w'"),
        (["tasks", "gunicorn", "--workers", "2", "web:app"], "'gunicorn' was not expected after tasks"),
        (["tasks", "gunicorn"], "'gunicorn' was not expected after tasks"),
        (["--mules", "1", "--", "gunicorn", "-w", "2", "web:app"], "APP is missing"),
        (["--", "tasks"], "APP is missing"),
    ],
)
def test_run_shows_where_the_two_dashes_stand(started, arguments, says):
    """Who leaves them or the application out is shown a whole command; nothing is started."""
    found = " ".join(refused("run", *arguments).split())
    assert says in found
    assert "heliograph run shop.tasks -- gunicorn -w 4 shop.web:app" in found
    assert started == []


def test_options_that_are_not_there_are_refused_without_a_word_on_dashes(started):
    """After the dashes are the server's own, before them ours."""
    assert "two dashes" not in refused("run", "tasks", "--nice", "3", "--", "gunicorn")
    assert started == []


@pytest.mark.parametrize("command", ["signals", "reload", "stop"])
def test_without_a_server_the_others_say_how_to_name_it(monkeypatch, tmp_path, command):
    """`signals`, `reload` and `stop` of a server that is not there: exit code 2, and which ones are."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert "heliograph run APP starts one" in refused(command, "--name", "nobody")
    with socket.socket(socket.AF_UNIX) as there, socket.socket(socket.AF_UNIX) as ended:
        there.bind(f"{tmp_path}/heliograph/shop.sock")
        there.listen()
        ended.bind(f"{tmp_path}/heliograph/old.sock")
        says = refused(command, "--name", "nobody")
    assert "running are: shop; choose with --name" in says


ROW = {"target": "mule1", "handler": "tasks.work", "sent": 1, "done": 1, "failed": 0, "queued": 0}
ROW |= {"redelivered": 0, "dropped": 0}


@pytest.mark.parametrize(
    ("names", "first", "rows"),
    [(["", ""], "num  target", ["  1  mule1", " 67  mule1"]), (["", "a"], "num  name  target", ["  1  ", " 67  a  "])],
)
def test_signals_shows_names_where_there_are_any(monkeypatch, names, first, rows):
    """The table is no wider for those who use none."""
    signals = [{"num": num, "name": name, **ROW} for num, name in zip((1, 67), names, strict=True)]
    state = {"name": "shop", "app": "tasks", "pid": 5, "processes": {}, "triggers": [], "queued": 0, "rejected": 0}
    monkeypatch.setattr(server_commands, "request", lambda _path, _request: {**state, "signals": signals})
    result = invoke("signals", "--name", "shop")
    assert result.exit_code == 0
    _, header, *lines, _ = result.stdout.splitlines()
    assert header.startswith(first)
    assert [line.startswith(row) for line, row in zip(lines, rows, strict=True)] == [True, True]


def _on_uwsgi(arguments):
    return arguments if "--engine" in arguments else ["--engine", "uwsgi", *arguments]


@pytest.mark.parametrize("app", ["nosuch", "nosuch.py", "tasks:nope", "tasks:", "a-b"])
def test_run_refuses_an_application_that_is_not_there(started, app):
    """A module, file or callable that cannot be found is one line and exit code 2."""
    assert len(refused("run", app, "--engine", "uwsgi").splitlines()) == 1
    assert started == []


def test_run_refuses_a_target_that_the_server_will_not_have(started, tmp_path):
    """T8: `mule9` of two is found before the server starts, with the place in the application."""
    (tmp_path / "nine.py").write_text("from heliograph import Signal\nSignal(1).register_handler('mule9')(print)\n")
    assert "nine.py:2" in refused("run", "nine", "--mules", "2", "--engine", "uwsgi")
    assert started == []


def test_run_leaves_targets_to_a_server_with_flags_of_its_own(started, tmp_path):
    """`-- --mules 9` may make the mule that the application asks for."""
    (tmp_path / "nine.py").write_text("from heliograph import Signal\nSignal(1).register_handler('mule9')(print)\n")
    assert invoke("run", "nine", "--engine", "uwsgi", "--", "--mules", "9").exit_code == 0
    assert len(started) == 1


def test_run_without_uwsgi_says_how_to_get_it(monkeypatch, tmp_path):
    """A missing server is one line that ends in the command which installs it."""
    (tmp_path / "tasks.py").write_text(SIGNALS)
    monkeypatch.chdir(tmp_path)

    def find():
        raise ConfigError('uWSGI is not installed; pip install "heliograph[uwsgi]"')

    monkeypatch.setattr(uwsgi_server, "find", find)
    said = refused("run", "tasks", "--engine", "uwsgi")
    assert said == 'Error: uWSGI is not installed; pip install "heliograph[uwsgi]"\n'


@pytest.fixture
def remote(tmp_path):
    """A server on a unix socket that gives one answer; `remote(answer)` gives its path."""
    threads = []

    def serve(answer: bytes) -> str:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "remote.sock"))
        listener.listen()
        listener.settimeout(10)

        def converse() -> None:
            with listener, listener.accept()[0] as connection:
                connection.settimeout(10)
                connection.recv(4, socket.MSG_WAITALL)
                connection.sendall(answer)

        thread = threading.Thread(target=converse)
        thread.start()
        threads.append(thread)
        return str(tmp_path / "remote.sock")

    yield serve
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (b"\xff\x00\x00\x01", 0, "took signal 7"),
        (b"\xff\x00\x00\x00", 1, "rejected signal 7"),
        (b"HTTP", 2, "not of the uwsgi protocol"),
        (b"", 2, "without an answer"),
    ],
)
def test_send_tells_how_it_went_by_its_exit_code(remote, answer, code, says):
    """D8: 0 taken, 1 rejected, 2 not reached; one line on stderr, nothing on stdout."""
    result = invoke("send", "7", remote(answer))
    assert result.exit_code == code
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert says in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("256", "127.0.0.1:1"),
        ("seven", "127.0.0.1:1"),
        ("7", "127.0.0.1:http"),
        ("7", "no/such.sock"),
        ("7",),
        ("7", "127.0.0.1:1", "--timeout", "0"),
        ("7", "127.0.0.1:1", "--timeout", "nan"),
    ],
)
def test_send_with_bad_usage_ends_with_two(arguments):
    """A number, address or timeout that is none is exit code 2, without a traceback."""
    assert refused("send", *arguments)
