"""Commands of the configuration file, as `config`, `--print-plan` and the start of a server see them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from heliograph.cli import main
from heliograph.cli.run import START
from heliograph.settings.commands import Command

TOML = """
app = "tasks"

[commands]
assets = "true --watch"
bot = { command = ["python", "a b.py"], restart = "on-failure", directory = "there", environment = { LEVEL = "debug" } }
"""


@pytest.fixture
def place(private_place):
    (private_place / "tasks.py").touch()
    (private_place / "there").mkdir()
    (private_place / "heliograph.toml").write_text(TOML)
    return private_place


def invoke(*arguments):
    return CliRunner().invoke(main, arguments)


@pytest.mark.usefixtures("place")
def test_the_settings_have_them(monkeypatch):
    """In the order of the file."""
    started = []
    for engine in START:
        monkeypatch.setitem(START, engine, started.append)
    assert invoke("run").exit_code == 0
    assert [command.name for command in started[0].commands] == ["assets", "bot"]
    assert started[0].commands[0] == Command("assets", ("true", "--watch"))


@pytest.mark.usefixtures("place")
def test_config_shows_each_with_its_place():
    """For people and as JSON."""
    lines = invoke("config").stdout.splitlines()[-2:]
    assert [line.split("  ")[0] for line in lines] == ["commands.assets", "commands.bot"]
    assert "python 'a b.py' (restart on-failure, reload restart)" in lines[1]
    assert lines[1].endswith("heliograph.toml: commands.bot")
    assert json.loads(invoke("config", "--json").stdout)["options"]["commands.bot"] == {
        "value": {
            "command": ["python", "a b.py"],
            "restart": "on-failure",
            "reload": "restart",
            "directory": "there",
            "environment": {"LEVEL": "debug"},
        },
        "origin": "file",
        "from": "heliograph.toml: commands.bot",
    }


@pytest.mark.usefixtures("place")
def test_the_plan_shows_each():
    """With its policies, and with those that options add."""
    plan = invoke("run", "--print-plan").stdout
    assert "command assets    true --watch (restart always, reload restart)\n" in plan
    assert "command bot       python 'a b.py' (restart on-failure, reload restart, in there)\n" in plan
    assert "heliograph.reloading (restart always, reload leave)\n" in invoke("run", "--print-plan", "--reload").stdout


def test_pyproject_has_them_in_its_table(place):
    """Errors name the table."""
    (place / "heliograph.toml").unlink()
    (place / "pyproject.toml").write_text(
        "[tool.heliograph]\napp = 'tasks'\n[tool.heliograph.commands]\nbot = 'no-such'\n"
    )
    result = invoke("config")
    assert result.exit_code == 2
    assert result.output == "Error: pyproject.toml [tool.heliograph]: commands.bot: command not found: 'no-such'\n"


@pytest.mark.usefixtures("place")
def test_uwsgi_has_commands_of_its_own():
    """The error names its option."""
    result = invoke("config", "--engine", "uwsgi")
    assert result.output == "Error: commands do not work with --engine uwsgi. Use -- --attach-daemon COMMAND\n"
