"""The `heliograph` command, without a server."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

import heliograph
from heliograph.application import AppSpec
from heliograph.cli import main, server_commands, uwsgi_server
from heliograph.cli.run import START
from heliograph.exceptions import ConfigError
from heliograph.ipc import control_sockets
from heliograph.models import FarmSpec
from heliograph.settings.addresses import Address
from heliograph.settings.option_row import LOCAL, UWSGI
from heliograph.settings.options import OPTIONS, ServerSettings

SIGNALS = "from heliograph import Signal\nSignal(1).register_handler()(print)\n"
WEB = "def app(environ, start_response): ...\n"


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Run in a directory with two applications. Return the settings of the servers that the command would start."""
    (tmp_path / "tasks.py").write_text(SIGNALS)
    (tmp_path / "web.py").write_text(WEB)
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text("0123456789abcdef")
    monkeypatch.chdir(tmp_path)
    settings: list[ServerSettings] = []
    for engine in START:
        monkeypatch.setitem(START, engine, settings.append)
    return settings


def invoke(*arguments: str):
    return CliRunner().invoke(main, arguments)


def refused(*arguments: str) -> str:
    """Return the error: exit code 2, on standard error alone, no traceback."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.usefixtures("started")
def test_version_and_help():
    """`--version` prints the version. `--help` shows examples of running and sending."""
    assert heliograph.__version__ in invoke("--version").output
    for arguments, example in (
        (("--help",), "heliograph run shop.tasks"),
        (("run", "-h"), "--farm crunchers=1,2"),
        (("send", "--help"), "heliograph send 17 127.0.0.1:3031"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 0
        assert example in result.output


def test_every_command_has_a_summary_that_is_not_cut():
    """In a terminal of 80 columns."""
    lines = [line.split(maxsplit=1) for line in invoke("--help").output.splitlines()]
    for name, command in main.commands.items():
        assert command.short_help
        assert [name, command.short_help] in lines


@pytest.mark.parametrize("arguments", [("--help",), *((name, "--help") for name in main.commands)], ids=" ".join)
def test_help_is_the_same_without_docstrings(arguments):
    """`python -OO` removes docstrings."""
    commands = [[sys.executable, *optimize, "-m", "heliograph", *arguments] for optimize in ([], ["-OO"])]
    plain, optimized = [subprocess.check_output(command, text=True, timeout=60) for command in commands]
    assert optimized == plain
    assert len(plain.splitlines()) > 5


def test_run_help_names_every_option_with_unit_and_default():
    """Each in one line. Aliases are accepted but not shown."""
    output = invoke("run", "--help").output
    for row in OPTIONS:
        default = f" [default: {row.default_text}]" if row.default_text else "."
        assert re.search(
            rf"^  {re.escape(f'{row.flag} {row.metavar}'.strip())} +{re.escape(row.help + default)}$",
            output,
            re.MULTILINE,
        )
    assert "--mercy" not in output
    assert "--listen" not in output


def test_every_option_can_come_from_its_variable(started):
    """As on the command line. Farms are separated by spaces."""
    env = {"WORKERS": "3", "MULES": "2", "FARM": "a=1,2 b=2", "SPOOLER": "spool", "SOCKET": "x.sock", "LAZY_APPS": "1"}
    env |= {
        "ALLOW_REMOTE": "17,18",
        "NAME": "shop",
        "CONTROL": "ctl.sock",
        "GRACEFUL_TIMEOUT": "5",
        "MAX_SIGNALS": "9",
        "TIME_LIMIT": "0.5",
        "OVERDUE": "60",
    }
    env |= {
        "ANY_FS": "1",
        "TASK_SYNC": "process",
        "TASK_BYTES": "2000",
        "LOG_LEVEL": "error",
        "LOG_CONFIG": "/dev/null",
        "RUN_ENGINE": "local",
        "NO_WEB_CHECK": "1",
        "HTTP_STATUS": "page.sock",
        "HTTP_TOKEN_FILE": "token",
        "HTTP_HOST": "a.example.org,b",
        "MAX_RSS": "200M",
        "MAX_AGE": "30m",
    }
    env |= {"RELOAD": "1", "RELOAD_DIR": "/ .", "RELOAD_INCLUDE": "*.html"}
    result = CliRunner().invoke(main, ["run", "tasks"], env={f"HELIOGRAPH_{name}": text for name, text in env.items()})
    assert (result.exit_code, result.output) == (0, "")
    assert started == [
        ServerSettings(
            AppSpec("tasks"),
            engine=LOCAL,
            workers=3,
            mules=2,
            farms=(FarmSpec("a", (1, 2)), FarmSpec("b", (2,))),
            spooler=Path("spool"),
            any_filesystem=True,
            task_sync="process",
            task_bytes=2000,
            listen=Address(path="x.sock"),
            lazy_apps=True,
            allow_remote=frozenset({17, 18}),
            name="shop",
            control=Path("ctl.sock").absolute(),
            graceful_timeout=5.0,
            max_signals=9,
            max_rss=200 << 20,
            max_age=1800.0,
            time_limit=0.5,
            overdue=60.0,
            log_level="error",
            log_config=Path("/dev/null"),
            no_web_check=True,
            http_status=Address(path="page.sock"),
            http_token_file=Path("token").absolute(),
            http_host=("a.example.org", "b"),
            reload=True,
            reload_dirs=(Path("/"), Path.cwd()),
            reload_include=("*.html",),
        )
    ]
    assert {row.variable for row in OPTIONS} == {f"HELIOGRAPH_{name}" for name in (*env, "HTTP", "THREADS")}


@pytest.mark.parametrize(("text", "lazy"), [("1", True), ("no", False), ("", False)])
def test_the_variable_of_a_flag_is_true_or_false(started, text, lazy):
    """An empty variable counts as not set."""
    assert CliRunner().invoke(main, ["run", "tasks"], env={"HELIOGRAPH_LAZY_APPS": text}).exit_code == 0
    assert [settings.lazy_apps for settings in started] == [lazy]


def test_a_bad_variable_is_one_line_with_its_name(started):
    """Of a flag, too."""
    for name, value in (("LAZY_APPS", "maybe"), ("MULES", "two"), ("FARM", "a=1 b")):
        result = CliRunner().invoke(main, ["run", "tasks"], env={f"HELIOGRAPH_{name}": value})
        assert result.exit_code == 2
        assert result.output.startswith(f"Error: HELIOGRAPH_{name}={value.split()[-1]}: ")
        assert len(result.output.splitlines()) == 1
    assert started == []


def test_the_engine_of_the_application_is_not_the_engine_of_the_command(started):
    """HELIOGRAPH_ENGINE does not reach `run`. HELIOGRAPH_RUN_ENGINE does."""
    assert CliRunner().invoke(main, ["run", "tasks"], env={"HELIOGRAPH_ENGINE": "inline"}).exit_code == 0
    assert CliRunner().invoke(main, ["run", "tasks"], env={"HELIOGRAPH_RUN_ENGINE": "uwsgi"}).exit_code == 0
    assert [settings.engine for settings in started] == [LOCAL, UWSGI]


@pytest.mark.parametrize(
    ("alias", "value", "name"), [("--listen", ":0", "listen"), ("--mercy", "5", "graceful_timeout")]
)
def test_run_accepts_aliases(started, alias, value, name):
    """As the flag of their row."""
    assert invoke("run", "tasks", alias, value).exit_code == 0
    assert str(getattr(started[0], name)) in (value, "5.0")


def test_python_m_heliograph_is_the_command():
    """It prints the same version."""
    done = subprocess.run(
        [sys.executable, "-m", "heliograph", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == f"heliograph, version {heliograph.__version__}"


def test_the_command_needs_no_generic_types_of_click():
    """Releases of click before 8.4 have none."""
    program = "import click\ndef fail(*_): raise TypeError\nclick.ParamType.__class_getitem__ = fail\n"
    program += "from heliograph.cli import main\nmain(['--version'])\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_run_starts_one_worker_by_default(started):
    """`heliograph run APP` has one worker and the defaults of the table."""
    result = invoke("run", "tasks")
    assert (result.exit_code, result.output) == (0, "")
    assert started == [ServerSettings(AppSpec("tasks"), workers=1)]


def test_run_passes_all_options_to_the_engine(started, tmp_path):
    """Each option is parsed. uWSGI's own options stay as they are."""
    arguments = ["--engine", "uwsgi", "--workers", "3", "--mules", "2", "--farm", "a=1,2", "--farm", "b=2"]
    arguments += ["--spooler", "spool", "--http", "127.0.0.1:0", "--socket", "x.sock", "--lazy-apps", "--threads", "4"]
    result = invoke("run", "web.py:app", *arguments, "--", "--harakiri", "30", "-x")
    assert (result.exit_code, result.output) == (0, "")
    farms = (FarmSpec("a", (1, 2)), FarmSpec("b", (2,)))
    assert started == [
        ServerSettings(
            AppSpec(f"{tmp_path}/web.py", "app"),
            engine=UWSGI,
            workers=3,
            mules=2,
            farms=farms,
            spooler=Path("spool"),
            http=Address.parse("127.0.0.1:0"),
            listen=Address.parse("x.sock"),
            threads=4,
            lazy_apps=True,
            command=("--harakiri", "30", "-x"),
        )
    ]


def test_run_notes_that_a_web_application_is_not_served(started):
    """A WSGI callable without --http and --socket runs, with a note on standard error."""
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
        (["--engine", "apache"], "Use local or uwsgi"),
        (["stray"], "unexpected argument after tasks: 'stray'"),
        (["--", "gunicorn"], "not an option of uWSGI: 'gunicorn'"),
    ],
)
def test_run_refuses_bad_options(started, arguments, says):
    """Exit code 2 and a line that says why. No server is started."""
    assert says in refused("run", "tasks", *_on_uwsgi(arguments))
    assert started == []


@pytest.mark.parametrize(
    "arguments", [["--workers", "many"], ["--spooler", "no/spool"], ["--http", ":x"], ["--farm", "a"]]
)
def test_a_bad_value_is_one_line(started, arguments):
    """`Error: FLAG VALUE: reason. What to do`."""
    said = refused("run", "tasks", *arguments)
    assert said.startswith(f"Error: {arguments[0]} {arguments[1]}: ")
    assert ". Use " in said or ". Create " in said
    assert len(said.splitlines()) == 1
    assert started == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--max-signals", "9"], "--max-signals does not work with --engine uwsgi"),
        (["--time-limit", "9"], "--harakiri"),
        (["--allow-remote", "9"], "takes every signal"),
        (["--name", "x"], "find it by its --socket"),
        (["--graceful-timeout", "9"], "--worker-reload-mercy"),
        (["--log-level", "error"], "log options of its own"),
    ],
)
def test_run_says_what_to_use_with_uwsgi(started, arguments, says):
    """An option that only the heliograph server has is an error with uWSGI."""
    assert says in refused("run", "tasks", "--engine", "uwsgi", *arguments)
    assert started == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--http", "127.0.0.1:0"], "--http does not work with --engine local. Start a web server"),
        (["--threads", "2"], "--threads does not work with --engine local. A process runs one handler at a time."),
        (["--", "--harakiri", "9"], "not a command: '--harakiri'. Options after -- are for --engine uwsgi"),
        (["--", "no-such-command"], "Error: command not found: 'no-such-command'\n"),
        (
            ["--allow-remote", "256"],
            "signal number out of range: 256. Use 0 to 255, or Signal() to take a free number.\n",
        ),
        (["--allow-remote", "x"], "--allow-remote x: these are not signal numbers. Use numbers from 0 to 255, 17,18\n"),
        (["--graceful-timeout", "-1"], "Error: --graceful-timeout -1: it is not a time. Use seconds, 0 or more\n"),
        (["--mercy", "-1"], "--graceful-timeout -1"),
        (["--workers", "0"], "at least one process"),
        (["--log-level", "loud"], "Use debug, info, warning, error or critical"),
        (["--name", "a/b"], "--name"),
        (["--name", ""], "--name"),
    ],
)
def test_run_refuses_what_the_heliograph_server_does_not_have(monkeypatch, tmp_path, arguments, says):
    """Exit code 2, and no server is started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "tasks.py").write_text(SIGNALS)
    assert says in refused("run", "tasks", *arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tasks", "--mules", "1", "gunicorn", "-w", "2", "web:app"], "No such option '-w'"),
        (["tasks", "gunicorn", "--workers", "2", "web:app"], "unexpected argument after tasks: 'gunicorn'"),
        (["tasks", "gunicorn"], "unexpected argument after tasks: 'gunicorn'"),
        (["--mules", "1", "--", "gunicorn", "-w", "2", "web:app"], "APP is missing"),
        (["--", "tasks"], "APP is missing"),
    ],
)
def test_run_shows_an_example_if_the_dashes_or_the_application_are_missing(started, arguments, says):
    """A whole command. No server is started."""
    found = " ".join(refused("run", *arguments).split())
    assert says in found
    assert "heliograph run shop.tasks -- gunicorn -w 4 shop.web:app" in found
    assert started == []


def test_an_unknown_option_before_the_dashes_is_an_error_without_the_example(started):
    """The user knows where the dashes stand."""
    assert "stand after --" not in refused("run", "tasks", "--nice", "3", "--", "gunicorn")
    assert started == []


@pytest.mark.parametrize("command", ["signals", "schedule", "reload", "stop"])
def test_without_a_server_a_command_says_how_to_start_or_name_it(monkeypatch, tmp_path, command):
    """Exit code 2, and which servers run. The path of the socket is shown on request only."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    # Other servers of the user may run on this machine.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(control_sockets, "_TEMPORARY", tmp_path / "tmp")
    monkeypatch.setattr(control_sockets, "_RUN_USER", tmp_path / "user")
    text = "Error: no heliograph server is running for this directory. "
    text += "Start one with `heliograph run APP`, or pass --name."
    assert refused(command).strip() == text
    assert refused(command, "-v").startswith(f"{text} (no server answers at {tmp_path}/heliograph/")
    assert "with the name 'nobody'. Start one with `heliograph run APP --name nobody`." in refused(
        command, "--name", "nobody"
    )
    with socket.socket(socket.AF_UNIX) as there, socket.socket(socket.AF_UNIX) as ended:
        there.bind(f"{tmp_path}/heliograph/shop.sock")
        there.listen()
        ended.bind(f"{tmp_path}/heliograph/old.sock")
        says = refused(command, "--name", "nobody")
        assert "for this directory. Pass --name with one of those that are: shop." in refused(command)
    assert "with the name 'nobody'. Pass --name with one of those that are: shop." in says


@pytest.mark.parametrize("command", ["signals", "reload", "stop"])
def test_the_server_s_name_can_come_from_the_environment(monkeypatch, tmp_path, command):
    """HELIOGRAPH_NAME, as for `run`."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HELIOGRAPH_NAME", "a/b")
    assert "'a/b'" in refused(command)


ROW = {"target": "mule1", "handler": "tasks.work", "sent": 1, "done": 1, "failed": 0, "queued": 0}
ROW |= {"redelivered": 0, "dropped": 0, "coalesced": 0}


@pytest.mark.parametrize(
    ("names", "first", "rows"),
    [(["", ""], "num  target", ["  1  mule1", " 67  mule1"]), (["", "a"], "num  name  target", ["  1  ", " 67  a  "])],
)
def test_signals_shows_names_if_there_are_any(monkeypatch, names, first, rows):
    """The table has no column for them otherwise."""
    signals = [{"num": num, "name": name, **ROW} for num, name in zip((1, 67), names, strict=True)]
    state = {"name": "shop", "app": "tasks", "pid": 5, "processes": {}, "triggers": [], "queued": 0, "rejected": 0}
    monkeypatch.setattr(server_commands, "read_state", lambda _path: {**state, "signals": signals})
    result = invoke("signals", "--name", "shop")
    assert result.exit_code == 0
    _, header, *lines, _ = result.stdout.splitlines()
    assert header.startswith(first)
    assert [line.startswith(row) for line, row in zip(lines, rows, strict=True)] == [True, True]


@pytest.mark.parametrize("coalesced", [0, 12])
def test_signals_shows_coalesced_signals_if_there_are_any(monkeypatch, coalesced):
    """The table has no column for them otherwise."""
    rows = [{"num": 1, "name": "", **ROW, "coalesced": coalesced}]
    state = {"name": "shop", "app": "tasks", "pid": 5, "processes": {}, "triggers": [], "queued": 0, "rejected": 0}
    monkeypatch.setattr(server_commands, "read_state", lambda _path: {**state, "signals": rows})
    _, header, line, _ = invoke("signals", "--name", "shop").stdout.splitlines()
    assert ("coalesced" in header) == bool(coalesced)
    assert ("12" in line.split()) == bool(coalesced)


def _on_uwsgi(arguments):
    return arguments if "--engine" in arguments else ["--engine", "uwsgi", *arguments]


@pytest.mark.parametrize("app", ["nosuch", "nosuch.py", "tasks:nope", "tasks:", "a-b"])
def test_run_refuses_a_missing_application(started, app):
    """A missing module, file or callable gives one line and exit code 2."""
    assert len(refused("run", app, "--engine", "uwsgi").splitlines()) == 1
    assert started == []


def test_run_refuses_a_target_that_the_server_does_not_have(started, tmp_path):
    """T8: `mule9` of two is found before the server starts, with the place in the application."""
    (tmp_path / "nine.py").write_text("from heliograph import Signal\nSignal(1).register_handler('mule9')(print)\n")
    assert "nine.py:2" in refused("run", "nine", "--mules", "2", "--engine", "uwsgi")
    assert started == []


def test_run_does_not_check_targets_if_uwsgi_has_options_of_its_own(started, tmp_path):
    """`-- --mules 9` can create the mule that the application needs."""
    (tmp_path / "nine.py").write_text("from heliograph import Signal\nSignal(1).register_handler('mule9')(print)\n")
    assert invoke("run", "nine", "--engine", "uwsgi", "--", "--mules", "9").exit_code == 0
    assert len(started) == 1


def test_run_without_uwsgi_says_how_to_install_it(monkeypatch, tmp_path):
    """In one line."""
    (tmp_path / "tasks.py").write_text(SIGNALS)
    monkeypatch.chdir(tmp_path)

    def find():
        raise ConfigError('uWSGI is not installed. Install it with: pip install "heliograph[uwsgi]"')

    monkeypatch.setattr(uwsgi_server, "find", find)
    said = refused("run", "tasks", "--engine", "uwsgi")
    assert said == 'Error: uWSGI is not installed. Install it with: pip install "heliograph[uwsgi]"\n'


@pytest.fixture
def remote(tmp_path):
    """Start a server on a Unix socket that gives one answer. `remote(answer)` returns its path."""
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
        (b"\xff\x00\x00\x01", 0, "accepted signal 7"),
        (b"\xff\x00\x00\x00", 1, "rejected signal 7"),
        (b"HTTP", 2, "not of the uwsgi protocol"),
        (b"", 2, "without an answer"),
    ],
)
def test_send_exits_with_a_code_that_says_how_it_went(remote, answer, code, says):
    """D8: 0 accepted, 1 rejected, 2 not reached. One line on standard error, nothing on standard output."""
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
def test_send_with_wrong_usage_exits_with_2(arguments):
    """A bad number, address or timeout gives no traceback."""
    assert refused("send", *arguments)
