"""`heliograph run` and `heliograph config` with a configuration file, and commands that find the server by it."""

import json
import os
import shlex
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from heliograph.application import AppSpec
from heliograph.cli import main
from heliograph.cli.run import START
from heliograph.ipc.instance import server_name
from heliograph.settings.option_row import LOCAL, UWSGI
from heliograph.settings.options import ServerSettings

TOML = """
app = "tasks"
command = ["python", "-m", "http.server"]
workers = 2
mules = 2
farm = ["a=1,2"]
lazy_apps = true
name = "shop"
"""


@pytest.fixture
def place(private_place):
    """Run in a directory with an application, without a server of the user."""
    (private_place / "tasks.py").touch()
    return private_place


@pytest.fixture
def started(monkeypatch, place):
    """Return the settings of the servers that the command would start."""
    settings: list[ServerSettings] = []
    for engine in START:
        monkeypatch.setitem(START, engine, settings.append)
    return settings


@pytest.fixture
def own_environment(monkeypatch):
    """Variables that a command sets end with the test."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def invoke(*arguments: str, **variables: str):
    return CliRunner().invoke(main, arguments, env=variables)


def refused(*arguments: str, **variables: str) -> str:
    """Return the error: exit code 2, on standard error alone, no traceback."""
    result = invoke(*arguments, **variables)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr
    return result.stderr


def config(*arguments: str, **variables: str) -> dict:
    """Return what `heliograph config --json` shows."""
    result = invoke("config", "--json", *arguments, **variables)
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_run_alone_starts_everything_that_the_file_names(started, place):
    """Application, command and options."""
    (place / "heliograph.toml").write_text(TOML)
    result = invoke("run")
    assert (result.exit_code, result.output) == (0, "")
    (settings,) = started
    assert (settings.app, settings.command) == (AppSpec("tasks"), ("python", "-m", "http.server"))
    assert (settings.workers, settings.mules, settings.lazy_apps, settings.name) == (2, 2, True, "shop")
    assert str(settings.topology.farms[0].mules) == "(1, 2)"


def test_the_table_in_pyproject_does_the_same(started, place):
    """If there is no heliograph.toml."""
    (place / "pyproject.toml").write_text(f"[project]\nname = 'shop'\n[tool.heliograph]{TOML}")
    assert invoke("run").exit_code == 0
    assert started[0].name == "shop"


def test_arguments_win_over_variables_and_variables_over_the_file(started, place):
    """The application, the command and options alike."""
    (place / "heliograph.toml").write_text(TOML)
    (place / "other.py").touch()
    variables = {"HELIOGRAPH_APP": "other", "HELIOGRAPH_COMMAND": "python 'a b'", "HELIOGRAPH_WORKERS": "3"}
    assert invoke("run", **variables).exit_code == 0
    assert invoke("run", "tasks", "--workers", "4", "--no-lazy-apps", "--", "python", "-V", **variables).exit_code == 0
    first, second = started
    assert (first.app.location, first.command, first.workers) == ("other", ("python", "a b"), 3)
    assert (second.app.location, second.command, second.workers) == ("tasks", ("python", "-V"), 4)
    assert (first.lazy_apps, second.lazy_apps) == (True, False)


def test_dashes_without_a_command_take_the_command_back(started, place):
    """For a server without its web server."""
    (place / "heliograph.toml").write_text(TOML)
    assert invoke("run", "--").exit_code == 0
    assert started[0].command == ()


def test_the_file_can_be_anywhere(started, place):
    """By flag or variable. It must exist then."""
    (place / "conf").mkdir()
    (place / "conf/shop.toml").write_text("app = 'tasks'\nmules = 3\n")
    assert invoke("run", "--config", "conf/shop.toml").exit_code == 0
    assert invoke("run", HELIOGRAPH_CONFIG=f"{place}/conf/shop.toml").exit_code == 0
    assert [settings.mules for settings in started] == [3, 3]
    says = "Error: cannot read the configuration file: no.toml (No such file or directory). Use another one\n"
    assert refused("run", "tasks", "--config", "no.toml") == says


def test_chdir_comes_before_everything_else(started, place):
    """The file, the application and relative paths are those of the directory. PWD names it as the shell does."""
    (place / "real").mkdir()
    (place / "real/heliograph.toml").write_text("app = 'path/shop.py'\nspooler = 'spool'\nname = 'inner'\n")
    (place / "real/path").mkdir()
    (place / "real/path/shop.py").touch()
    (place / "link").symlink_to("real")
    (place / "heliograph.toml").write_text("unknown = 1")
    assert invoke("run", "--chdir", "link").exit_code == 0
    assert started[0].app == AppSpec(f"{place}/real/path/shop.py")
    assert (started[0].spooler, started[0].name) == (Path("spool"), "inner")
    assert (Path.cwd(), os.environ["PWD"]) == (place / "real", f"{place}/link")


def test_the_variable_of_chdir_is_for_this_process_only(started, place, monkeypatch):
    """Commands that the application starts are in the directory already."""
    (place / "inner").mkdir()
    monkeypatch.setenv("HELIOGRAPH_CHDIR", "inner")
    assert invoke("run", "tasks").exit_code == 0
    assert Path.cwd() == place / "inner"
    assert "HELIOGRAPH_CHDIR" not in os.environ


def test_a_directory_that_does_not_exist_is_an_error(started):
    """With the flag or the variable."""
    says = "nowhere: cannot change to it (No such file or directory). Use another directory\n"
    for command in ("run", "config", "signals", "tasks"):
        assert refused(command, "--chdir", "nowhere") == f"Error: --chdir {says}"
        assert refused(command, HELIOGRAPH_CHDIR="nowhere") == f"Error: HELIOGRAPH_CHDIR={says}"
    assert started == []


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("wrokers = 2", "heliograph.toml: unknown key: wrokers = 2. Did you mean workers?"),
        (
            "chdir = 'x'",
            'heliograph.toml: unknown key: chdir = "x". Use the name of an option: app, command, commands, env-file,',
        ),
        ("workers = 'many'", 'heliograph.toml: workers = "many": it is not an int. Use 0 or more'),
        ("threads = 2", "heliograph.toml: threads does not work with --engine local. A process runs one handler"),
        ("name = 'a/b'", "heliograph.toml: name = \"a/b\": invalid --name: 'a/b'. Use letters, digits"),
        ("app = 'a-b'", "heliograph.toml: app = \"a-b\": invalid application: 'a-b'. Use package.module"),
        ("app = 'no.py'", "heliograph.toml: app = \"no.py\": application not found: 'no.py'. There is no file"),
        ("command = ['no-such-command']", "command not found: 'no-such-command'"),
        ("farm = ['a=3']", "farm 'a': there is no mule 3"),
        ("workers = 0", "a server needs at least one process"),
        ("workers = ", "heliograph.toml is not TOML: Invalid value"),
    ],
)
def test_an_error_in_the_file_names_file_key_and_value(started, place, toml, says):
    """`run` and `config` say the same, with exit code 2."""
    app = "" if toml.startswith("app") else "app = 'tasks'\n"
    (place / "heliograph.toml").write_text(app + toml)
    assert refused("run").startswith(f"Error: {says}")
    assert refused("config") == refused("run")
    assert started == []


def test_without_an_application_the_error_says_where_it_can_stand(started):
    """Before the dashes, or in the file."""
    for command in ("run", "config"):
        error = " ".join(refused(command).split())
        assert "Error: APP is missing. Pass it before --, or set `app` in heliograph.toml. " in error
        assert "heliograph run shop.tasks -- gunicorn -w 4 shop.web:app" in error
    assert started == []


def test_config_shows_what_holds_and_where_it_came_from(place):
    """Flags, variables, the file and defaults."""
    (place / "heliograph.toml").write_text(TOML)
    found = config("--mules", "3", "--socket", "x.sock", HELIOGRAPH_WORKERS="3")
    assert (found["directory"], found["file"]) == (str(place), "heliograph.toml")
    expected = {
        "app": ("tasks", "file", "heliograph.toml: app"),
        "command": (["python", "-m", "http.server"], "file", "heliograph.toml: command"),
        "workers": (3, "variable", "HELIOGRAPH_WORKERS"),
        "mules": (3, "flag", "--mules"),
        "farm": (["a=1,2"], "file", "heliograph.toml: farm"),
        "socket": ("x.sock", "flag", "--socket"),
        "lazy-apps": (True, "file", "heliograph.toml: lazy_apps"),
        "allow-remote": ([], "default", "default"),
        "name": ("shop", "file", "heliograph.toml: name"),
        "control": (f"{place}/run/heliograph/shop.sock", "default", "default"),
        "graceful-timeout": (30.0, "default", "default"),
        "spooler": (None, "default", "default"),
    }
    options = {option: (row["value"], row["origin"], row["from"]) for option, row in found["options"].items()}
    assert {option: options[option] for option in expected} == expected
    assert "http" not in options  # uWSGI's


def test_config_for_people_is_an_aligned_table(place):
    """One option a line, with the directory and the file above."""
    (place / "heliograph.toml").write_text(TOML.replace('"http.server"', '"a b"'))
    result = invoke("config", "--allow-remote", "17,18", "--task-sync", "process", HELIOGRAPH_TIME_LIMIT="5")
    assert result.exit_code == 0
    first, second, header, *rows = result.stdout.splitlines()
    assert (first, second) == (f"directory: {place}", "configuration file: heliograph.toml")
    value, source = header.index("value"), header.index("from")
    found = {row[:value].strip(): (row[value:source].strip(), row[source:]) for row in rows}
    assert found["command"] == (shlex.join(["python", "-m", "a b"]), "heliograph.toml: command")
    assert found["allow-remote"] == ("17 18", "--allow-remote")
    assert found["time-limit"] == ("5", "HELIOGRAPH_TIME_LIMIT")
    assert found["lazy-apps"] == ("on", "heliograph.toml: lazy_apps")
    assert found["spooler"] == ("none", "default")


def test_config_without_a_file_shows_the_values_that_follow_from_others(place):
    """The name comes from the directory, the number of workers from the command of the web server."""
    found = config("tasks", "--", "python", "-m", "uvicorn", "--workers", "3", "web:app")
    name = server_name(None, place)
    assert found["file"] is None
    assert found["options"]["name"]["value"] == name
    assert found["options"]["workers"] == {"value": 3, "origin": "default", "from": "default"}


def test_config_shows_the_options_of_uwsgi_with_that_engine(place):
    """And not those of the heliograph server."""
    options = config("tasks", "--threads", "4", HELIOGRAPH_RUN_ENGINE="uwsgi")["options"]
    assert (options["engine"]["value"], options["threads"]["value"]) == (UWSGI, 4)
    assert "log-level" not in options


def test_config_works_while_the_server_runs(place, started):
    """Its sockets are in use then. `run` refuses them."""
    (place / "heliograph.toml").write_text("app = 'tasks'\nsocket = './x.sock'\n")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("x.sock")
        server.listen()
        assert config()["options"]["socket"]["value"] == "./x.sock"
        assert "another server listens there" in refused("run")
    assert started == []


@pytest.mark.parametrize("command", ["signals", "schedule", "reload", "stop", "send"])
def test_commands_find_the_server_by_the_file(place, command):
    """By the name in it, unless a flag or a variable names another one."""
    arguments = [command, "refresh"] if command == "send" else [command]
    (place / "heliograph.toml").write_text('name = "no-shop"\nunknown = 1\n')
    assert "with the name 'no-shop'" in refused(*arguments)
    assert "with the name 'no-other'" in refused(*arguments, HELIOGRAPH_NAME="no-other")
    assert "with the name 'no-third'" in refused(*arguments, "--name", "no-third", HELIOGRAPH_NAME="no-other")
    (place / "heliograph.toml").write_text('name = "no-shop"\ncontrol = "ctl"\n')
    assert "no server answers at ctl" in refused(*arguments)
    assert "no server answers at env" in refused(*arguments, HELIOGRAPH_CONTROL="env")
    assert "with the name 'no-third'" in refused(*arguments, "--name", "no-third")


def test_commands_take_the_file_and_the_directory_of_the_server(place):
    """By --config and --chdir, and by their variables."""
    (place / "inner").mkdir()
    (place / "inner/heliograph.toml").write_text('name = "no-inner"\n')
    assert "with the name 'no-inner'" in refused("signals", "--config", "inner/heliograph.toml")
    assert "with the name 'no-inner'" in refused("signals", HELIOGRAPH_CONFIG="inner/heliograph.toml")
    assert "with the name 'no-inner'" in refused("signals", "--chdir", "inner")


@pytest.mark.parametrize("arguments", [["tasks"], ["tasks", "check"], ["status"]])
def test_commands_find_the_tasks_by_the_file(place, arguments):
    """By the spooler or the name in it."""
    (place / "heliograph.toml").write_text('name = "no-shop"\n')
    result = invoke(*arguments)
    assert (result.exit_code, f"{place}/state/heliograph/no-shop.tasks" in result.output) == (2, True)
    (place / "heliograph.toml").write_text('name = "no-shop"\nspooler = "spool"\n')
    result = invoke(*arguments)
    assert (result.exit_code, f"{place}/spool" in result.output) == (2, True)
    result = invoke(*arguments, "--name", "no-other")
    assert (result.exit_code, f"{place}/state/heliograph/no-other.tasks" in result.output) == (2, True)


@pytest.mark.usefixtures("own_environment")
def test_commands_for_tasks_take_their_options_from_the_file(place):
    """As variables. One that is set wins. A flag selects a server without the file."""
    (place / "heliograph.toml").write_text(
        "name = 'no-shop'\ntask-bytes = 1024\ntask-sync = 'process'\nany-fs = true\n"
    )
    names = ("HELIOGRAPH_TASK_BYTES", "HELIOGRAPH_TASK_SYNC", "HELIOGRAPH_ANY_FS")
    assert invoke("tasks", "--name", "no-shop").exit_code == 2
    assert [os.environ.get(name) for name in names] == [None, None, None]
    os.environ["HELIOGRAPH_TASK_BYTES"] = "4096"
    assert invoke("tasks").exit_code == 2
    assert [os.environ.get(name) for name in names] == ["4096", "process", "1"]


def test_a_group_and_its_subcommand_share_the_flags(place):
    """The directory is entered once."""
    (place / "inner").mkdir()
    (place / "inner/heliograph.toml").write_text('name = "no-inner"\n')
    for arguments in (["tasks", "--chdir", "inner", "check"], ["tasks", "check", "--chdir", "inner"]):
        os.chdir(place)
        assert f"{place}/state/heliograph/no-inner.tasks" in refused(*arguments)


@pytest.mark.parametrize(
    ("toml", "says"),
    [("name = 5", "heliograph.toml: name = 5: it is a number. Use a text in quotes"), ("name = ", "is not TOML")],
)
def test_a_broken_file_is_an_error_unless_a_flag_names_the_server(place, toml, says):
    """So a running server can be stopped in any case."""
    (place / "heliograph.toml").write_text(toml)
    assert says in refused("stop")
    assert "with the name 'no-shop'" in refused("stop", "--name", "no-shop")


@pytest.mark.needs("dotenv")
@pytest.mark.usefixtures("own_environment")
def test_the_variables_of_a_file_count_and_reach_the_application(started, place):
    """Those that are set already win. A flag wins over both."""
    os.environ["SHOP_KEY"] = "from outside"
    (place / ".env").write_text("SHOP_KEY=file\nexport SHOP_URL='a b'\nHELIOGRAPH_MULES=2\nHELIOGRAPH_MAX_SIGNALS=9\n")
    assert invoke("run", "tasks", "--env-file", ".env", "--max-signals", "8").exit_code == 0
    assert (started[0].mules, started[0].max_signals) == (2, 8)
    assert (os.environ["SHOP_KEY"], os.environ["SHOP_URL"]) == ("from outside", "a b")


@pytest.mark.needs("dotenv")
@pytest.mark.usefixtures("own_environment")
def test_the_file_of_variables_can_stand_in_the_configuration(place):
    """A flag or a variable replaces it. `config` says that a value comes from it."""
    (place / "heliograph.toml").write_text("app = 'tasks'\nenv_file = 'a.env'\nmules = 1\nname = 'shop'\n")
    (place / "a.env").write_text("HELIOGRAPH_MULES=2\n")
    (place / "b.env").write_text("HELIOGRAPH_TIME_LIMIT=5\n")
    found = config("--env-file", "b.env")
    assert found["env_file"] == "b.env"
    assert found["options"]["mules"]["value"] == 1
    assert found["options"]["time-limit"] == {
        "value": 5.0,
        "origin": "variable",
        "from": "b.env: HELIOGRAPH_TIME_LIMIT",
    }
    found = config()
    assert found["env_file"] == "a.env"
    assert found["options"]["mules"] == {"value": 2, "origin": "variable", "from": "a.env: HELIOGRAPH_MULES"}
    output = invoke("config").stdout
    assert output.splitlines()[2] == "file of variables: a.env"
    assert invoke("run", "--print-plan").stdout.splitlines()[3].split("  ")[0] == "file of variables"


@pytest.mark.needs("dotenv")
@pytest.mark.usefixtures("own_environment")
def test_the_file_of_variables_can_name_the_configuration_and_the_server(place):
    """It is read before the configuration if a flag or a variable names it."""
    (place / "shop.toml").write_text("app = 'tasks'\n")
    (place / ".env").write_text("HELIOGRAPH_CONFIG=shop.toml\nHELIOGRAPH_NAME=no-shop\n")
    assert config("--env-file", ".env")["file"] == "shop.toml"
    assert "with the name 'no-shop'" in refused("signals", HELIOGRAPH_ENV_FILE=".env")


@pytest.mark.needs("dotenv")
@pytest.mark.usefixtures("own_environment")
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("HELIOGRAPH_MULES=two", ".env: HELIOGRAPH_MULES=two: it is not a number. Use 0 or more"),
        ("A=1\nnonsense\n", "--env-file .env: line 2 is not KEY=VALUE: 'nonsense'. Correct it"),
        ("HELIOGRAPH_CHDIR=x", ".env: HELIOGRAPH_CHDIR=x: it has no effect there. Use --chdir"),
        ("HELIOGRAPH_ENV_FILE=x", ".env: HELIOGRAPH_ENV_FILE=x: it has no effect there. Use --env-file"),
        (None, "--env-file .env: it cannot be read (No such file or directory). Use another file"),
    ],
)
@pytest.mark.parametrize("command", ["run", "config"])
def test_an_error_in_the_file_of_variables_names_it(place, content, says, command):
    """With exit code 2."""
    if content is not None:
        (place / ".env").write_text(content)
    assert refused(command, "tasks", "--env-file", ".env") == f"Error: {says}\n"


def test_uwsgi_s_own_options_can_stand_in_the_file(started, place):
    """As the command. The engine decides what it is."""
    (place / "heliograph.toml").write_text("app = 'tasks'\nengine = 'uwsgi'\ncommand = ['--stats', ':0']\n")
    assert invoke("run").exit_code == 0
    assert (started[0].engine, started[0].command) == (UWSGI, ("--stats", ":0"))
    assert "not a command: '--stats'" in refused("run", "--engine", LOCAL)
