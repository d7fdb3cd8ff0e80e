"""What the log says about the web server of a command."""

import importlib.metadata
import sys
from pathlib import Path

import pytest

from heliograph.settings import known_web_servers
from heliograph.settings.known_web_servers import TESTED_VERSIONS, remark


@pytest.fixture
def installed(monkeypatch):
    """Set the version that is installed. All programs are in the environment of this Python."""
    monkeypatch.setattr(known_web_servers, "find_command", lambda name: str(Path(sys.executable).parent / name))
    return lambda version: monkeypatch.setattr(importlib.metadata, "version", lambda _name: version)


@pytest.mark.parametrize(
    ("version", "is_tested"),
    [("23.0.0", True), ("25.1", True), ("27.0.9", True), ("27.1.0", False), ("28.0rc1", False), ("22.0.0", False)],
)
def test_a_version_that_was_not_tested_is_named(installed, version, is_tested):
    """Newer and older ones. The third number does not matter."""
    installed(version)
    for command in (["gunicorn", "shop:app"], ["python", "-m", "gunicorn", "shop:app"]):
        text = remark(command)
        assert (text == "") == is_tested
        assert is_tested or f"gunicorn 23.0 to 27.0, and this is {version}" in text


def test_the_installed_versions_are_tested():
    """Else the table is out of date."""
    for name in TESTED_VERSIONS:
        assert remark([name, "shop:app"]) == ""


def test_a_program_of_another_environment_has_an_unknown_version(monkeypatch):
    """Its version cannot be read here."""
    monkeypatch.setattr(known_web_servers, "find_command", lambda name: f"/other/bin/{name}")
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "1.0")
    assert remark(["gunicorn", "shop:app"]) == ""


@pytest.mark.parametrize("command", ["waitress-serve shop:app", "flask run", "python manage.py runserver"])
def test_an_unknown_web_server_is_named(command):
    """With the way in which its processes join."""
    text = remark(command.split())
    assert text.startswith(f"Unknown web server: {command}. Its processes join with a middleware")


def test_a_command_that_runs_a_known_web_server_is_known():
    """`fastapi run` runs uvicorn."""
    assert remark(["fastapi", "run", "web.py"]) == ""


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["gunicorn", "shop"], "--max-requests"),
        (["/usr/bin/python3", "-m", "uvicorn", "shop:app"], "--limit-max-requests"),
        (["granian", "shop:app"], "--workers-max-rss or --workers-lifetime"),
        (["serve", "shop"], ""),
    ],
)
def test_web_servers_replace_their_processes_themselves(command, option):
    """By an option of their own, if it is known."""
    assert known_web_servers.recycling_option(command) == option
