"""Reading the command of a web server."""

import shlex
import sys
from pathlib import Path

import pytest

from heliograph.settings.web_server_command import count_workers, find_command, search_path


@pytest.mark.parametrize(
    ("command", "environment", "count"),
    [
        ("", {"WEB_CONCURRENCY": "7"}, 1),
        ("gunicorn shop:app", {}, 1),
        ("gunicorn -w 4 shop:app", {}, 4),
        ("gunicorn -w4 shop:app", {}, 4),
        ("gunicorn --workers 3 shop:app", {}, 3),
        ("gunicorn --workers=3 shop:app", {"WEB_CONCURRENCY": "7"}, 3),
        ("gunicorn shop:app", {"WEB_CONCURRENCY": "7"}, 7),
        ("/opt/venv/bin/gunicorn shop:app", {"WEB_CONCURRENCY": "7"}, 7),
        ("python -m uvicorn shop:app", {"WEB_CONCURRENCY": "2"}, 2),
        ("granian shop:app", {"GRANIAN_WORKERS": "5", "WEB_CONCURRENCY": "2"}, 5),
        ("hypercorn shop:app", {"WEB_CONCURRENCY": "2"}, 1),
        ("gunicorn shop:app -w", {}, 1),
        ("gunicorn -w many shop:app", {}, 1),
        ("gunicorn -w 0 shop:app", {}, 1),
        ("gunicorn -wsgi 4 shop:app", {}, 1),
        ("gunicorn shop:app", {"WEB_CONCURRENCY": "auto"}, 1),
        ("gunicorn -w 2 --workers 5 shop:app", {}, 5),
        ("gunicorn shop:app", {"GUNICORN_CMD_ARGS": "--workers=6 --threads 2", "WEB_CONCURRENCY": "7"}, 6),
        ("gunicorn -w 2 shop:app", {"GUNICORN_CMD_ARGS": "-w 6"}, 2),
        ("uvicorn shop:app", {"GUNICORN_CMD_ARGS": "-w 6", "UVICORN_WORKERS": "3", "WEB_CONCURRENCY": "7"}, 3),
        ("granian shop:app", {"WEB_CONCURRENCY": "7"}, 1),
    ],
)
def test_the_number_of_workers_comes_from_the_command(command, environment, count):
    """From its flags, else from the variable that the web server reads, else 1."""
    assert count_workers(shlex.split(command), environment) == count


def test_a_command_in_the_directory_of_this_python_is_found(monkeypatch):
    """Also if the virtualenv is not activated."""
    monkeypatch.setenv("PATH", "")
    assert find_command(Path(sys.executable).name) is not None
    assert find_command("no-such-command") is None


def test_the_python_of_this_environment_comes_first(monkeypatch, tmp_path):
    """Also if the virtualenv is not activated and PATH has a `python` of its own."""
    name = Path(sys.executable).name
    other = tmp_path / name
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_command(name) == sys.executable
    assert find_command(str(other)) == str(other)


@pytest.mark.parametrize(
    ("file", "command", "environment", "count"),
    [
        ("gunicorn.conf.py", "gunicorn shop:app", {"WEB_CONCURRENCY": "7"}, 4),
        ("gunicorn.conf.py", "gunicorn -w 2 shop:app", {}, 2),
        ("gunicorn.conf.py", "gunicorn shop:app", {"GUNICORN_CMD_ARGS": "-w 6"}, 6),
        ("gunicorn.conf.py", "uvicorn shop:app", {}, 1),
        ("conf.py", "gunicorn -c conf.py shop:app", {}, 4),
        ("conf.py", "gunicorn -cconf.py shop:app", {}, 4),
        ("conf.py", "gunicorn --config=file:conf.py shop:app", {}, 4),
        ("conf.py", "gunicorn --config python:conf shop:app", {}, 4),
        ("conf.py", "gunicorn shop:app", {"GUNICORN_CMD_ARGS": "-c conf.py"}, 4),
        ("conf.py", "gunicorn -c missing.py shop:app", {"WEB_CONCURRENCY": "7"}, 7),
    ],
)
def test_the_number_of_workers_comes_from_the_configuration_file(
    tmp_path, monkeypatch, file, command, environment, count
):
    """Of gunicorn, which runs it as a program. A flag or GUNICORN_CMD_ARGS comes first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_text("import math\nworkers = math.ceil(3.5)\n")
    assert count_workers(shlex.split(command), environment) == count


@pytest.mark.parametrize("text", ["workers = 1 / 0", "raise SystemExit", "this is no Python", "bind = 'x'"])
def test_a_configuration_file_that_fails_has_no_number(tmp_path, monkeypatch, capfd, text):
    """gunicorn reports the error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gunicorn.conf.py").write_text(text)
    assert count_workers(["gunicorn", "shop:app"], {}) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("is_virtual", [True, False])
def test_the_command_finds_the_python_of_this_environment_by_its_name(monkeypatch, is_virtual):
    """As in an activated virtual environment. The directories of the system keep their order."""
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin")
    monkeypatch.setattr(sys, "executable", "/opt/venv/bin/python" if is_virtual else "/usr/bin/python3")
    monkeypatch.setattr(sys, "prefix", "/opt/venv" if is_virtual else sys.base_prefix)
    expected = "/opt/venv/bin:/usr/local/bin:/usr/bin" if is_virtual else "/usr/local/bin:/usr/bin:/usr/bin"
    assert search_path() == expected
