"""The application that the command of a web server names."""

import sys
from pathlib import Path

import pytest

from heliograph.settings.web_application import web_application

HERE = str(Path(sys.executable).parent)


@pytest.fixture(autouse=True)
def programs(tmp_path, monkeypatch):
    """The web servers are in the environment of this Python, and `other` is in another one."""
    names = ("gunicorn", "uvicorn", "granian", "python", "waitress-serve")
    monkeypatch.setattr(
        "heliograph.settings.web_application.find_command",
        lambda name: f"{HERE}/{name}" if name in names else name if name.startswith("/") else None,
    )
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("gunicorn -w 4 shop.app:app", "shop.app:app"),
        ("gunicorn shop.app:app -w 4 --bind unix:sock", "shop.app:app"),
        ("gunicorn -b unix:sock -k shop.workers:Worker shop.app:app", "shop.app:app"),
        ("gunicorn shop.app:create_app()", "shop.app:create_app()"),
        ("gunicorn -w 4 shop.wsgi", "shop.wsgi"),
        ("gunicorn shop.wsgi -w 4", "shop.wsgi"),
        ("gunicorn --preload shop.app:app", "shop.app:app"),
        ("uvicorn --workers 2 shop.app:app", "shop.app:app"),
        ("uvicorn --factory shop.app:create_app", "shop.app:create_app()"),
        ("granian --interface asgi shop.app:app", "shop.app:app"),
        ("python -m uvicorn shop.app:app", "shop.app:app"),
        (f"{HERE}/gunicorn shop.app:app", "shop.app:app"),
    ],
)
def test_the_application_of_a_command(command, found):
    assert web_application(command.split(), {}) == found


@pytest.mark.parametrize(
    "command",
    [
        "",
        "gunicorn",
        "gunicorn --name shop",
        "gunicorn --chdir /srv shop.app:app",
        "gunicorn --env=A=1 shop.app:app",
        "gunicorn -e A=1 shop.app:app",
        "gunicorn -eA=1 shop.app:app",
        "gunicorn --pythonpath /srv shop.app:app",
        "gunicorn -c python:shop.conf shop.app:app",
        "uvicorn --app-dir src shop.app:app",
        "uvicorn --env-file .env shop.app:app",
        "uvicorn shop.wsgi",
        "granian --working-dir /srv shop.app:app",
        "waitress-serve shop.app:app",
        "/elsewhere/bin/gunicorn shop.app:app",
        "no-such-program gunicorn shop.app:app",
        "gunicorn shop.app:app shop.app:other",
    ],
)
def test_an_application_that_is_not_known_for_certain(command):
    """The web server imports from another place or with another environment, or the command is not understood."""
    assert web_application(command.split(), {}) == ""


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"GUNICORN_CMD_ARGS": "-w 4"}, "shop.app:app"),
        ({"GUNICORN_CMD_ARGS": "--chdir /srv"}, ""),
        ({"UVICORN_APP_DIR": "/srv"}, ""),
    ],
)
def test_variables_of_web_servers(variables, found):
    """They can change the import path as well."""
    assert web_application(["gunicorn", "shop.app:app"], variables) == found


@pytest.mark.parametrize(
    ("line", "found"), [("workers = 3", "shop.app:app"), ("chdir = '/srv'", ""), ("raw_env = ['A=1']", "")]
)
def test_the_configuration_file_of_gunicorn(line, found, tmp_path):
    """It can change the import path and the environment."""
    (tmp_path / "gunicorn.conf.py").write_text(f"import os\n{line}\n")
    assert web_application(["gunicorn", "shop.app:app"], {}) == found


def test_the_variable_for_factories():
    assert web_application(["uvicorn", "shop.app:make"], {"UVICORN_FACTORY": "1"}) == "shop.app:make()"
