"""`heliograph run --print-plan`."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from heliograph.cli import main
from heliograph.cli.run import START

PYTHON = Path(sys.executable).name


@pytest.fixture
def place(monkeypatch, private_place):
    """Run in a directory where a start or an import of the application fails the test."""
    (private_place / "tasks.py").write_text("raise AssertionError('imported')")
    for engine in START:
        monkeypatch.setitem(START, engine, lambda _settings: pytest.fail("a server was started"))
    return private_place


def plan(*arguments: str) -> dict[str, str]:
    """Return the lines of the plan, by their names."""
    result = CliRunner().invoke(main, ["run", "--print-plan", *arguments])
    assert (result.exit_code, result.stderr) == (0, "")
    return {(words := line.split("  ", 1))[0]: words[1].strip() for line in result.stdout.splitlines()}


def test_the_plan_of_a_server_without_a_web_server(place):
    """Processes, sockets and directories. No file of the server is created."""
    (place / "heliograph.toml").write_text("app = 'tasks'\nworkers = 2\nmules = 2\nfarm = ['a=1,2']\nname = 'shop'\n")
    assert plan("--socket", "x.sock") == {
        "engine": "local",
        "directory": str(place),
        "configuration": "heliograph.toml",
        "application": "tasks",
        "master": "shop",
        "fork server": "imports the application once",
        "workers": "2",
        "mules": "2",
        "farm a": "mules 1, 2",
        "spoolers": "0",
        "control socket": f"{place}/run/heliograph/shop.sock",
        "external signals": "x.sock",
        "tasks": f"{place}/state/heliograph/shop.tasks (to be created)",
        "last runs": f"{place}/state/heliograph/shop.json",
    }
    assert sorted(path.name for path in place.iterdir()) == ["heliograph.toml", "run", "tasks.py"]


def test_the_plan_of_a_server_with_a_web_server(place):
    """The command and its file, and workers that come and go."""
    (place / "spool").mkdir()
    arguments = ("--workers", "2..4", "--lazy-apps", "--control", "ctl", "--spooler", "spool")
    found = plan("tasks", *arguments, "--", PYTHON, "-c", "a b")
    assert found["web server"] == f"{PYTHON} -c 'a b'"
    assert Path(found["web server file"]).name == PYTHON
    assert found["workers"] == "2 to 4 of the web server"
    assert found["fork server"] == "imports the application in a child, to check it"
    assert found["control socket"] == f"{place}/ctl"
    assert (found["spoolers"], found["tasks"]) == ("1", f"{place}/spool")


@pytest.mark.needs("uwsgi")
def test_the_plan_of_uwsgi_is_its_command_line(place):
    """As heliograph would execute it."""
    found = plan("tasks", "--engine", "uwsgi", "--workers", "3", "--http", "127.0.0.1:0")
    assert "--workers 3" in found["command"]
    assert "--http 127.0.0.1:0" in found["command"]
    assert "fd://" not in found["command"]
    assert (found["workers"], found["HTTP"], found["external signals"]) == ("3", "127.0.0.1:0", "no socket")
    assert plan("tasks", "--engine", "uwsgi")["command"].endswith("--socket fd://N")


@pytest.mark.usefixtures("place")
def test_an_error_is_that_of_run():
    """With exit code 2, and no plan."""
    result = CliRunner().invoke(main, ["run", "tasks", "--print-plan", "--farm", "a=3"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: farm 'a': there is no mule 3. This server has no mules (--mules)\n"


def test_the_plan_has_the_status_page(place):
    """Its process, its address, and whether it can change something."""
    (place / "token").touch(mode=0o600)
    (place / "token").write_text("0123456789abcdef")
    found = plan("tasks", "--http-status", "page.sock", "--http-host", "a.example.org,b")
    assert found["status page"] == "page.sock (only reads)"
    assert "-m heliograph.web --listen page.sock" in found["command status-page"]
    assert "--host a.example.org --host b" in found["command status-page"]
    found = plan("tasks", "--http-status", "page.sock", "--http-token-file", "token")
    assert found["status page"] == f"page.sock (token in {place}/token)"
    assert f"--token-file {place}/token" in found["command status-page"]
