"""The command of a web server says whether it reloads itself when files change."""

from __future__ import annotations

import shlex

import pytest

from heliograph.settings.web_reload import reloads_itself


@pytest.mark.parametrize(
    ("command", "reloads"),
    [
        ("uvicorn --reload shop:app", True),
        ("uvicorn shop:app", False),
        ("/usr/bin/uvicorn shop:app --reload --reload-dir lib", True),
        ("python -m uvicorn --reload shop:app", True),
        ("gunicorn --reload shop:app", True),
        ("gunicorn -w 2 shop:app", False),
        ("granian --interface asgi --reload shop:app", True),
        ("hypercorn --reload shop:app", True),
        ("fastapi dev shop.py", True),
        ("fastapi dev --no-reload shop.py", False),
        ("fastapi run shop.py", False),
        ("fastapi run --reload shop.py", True),
        ("flask --app shop run --debug", True),
        ("flask --app shop --debug run", True),
        ("flask --app shop run", False),
        ("flask --app shop run --reload", True),
        ("flask --app shop run --debug --no-reload", False),
        ("python -m flask --app shop run --debug", True),
        ("python manage.py runserver", True),
        ("./manage.py runserver 8001", True),
        ("python manage.py runserver --noreload", False),
        ("django-admin runserver_plus", True),
        ("python -m django runserver", True),
        ("waitress-serve shop:app", False),
        ("python serve.py --reload", False),
        ("", False),
    ],
)
def test_the_command(command, reloads):
    """By the flags that each web server documents."""
    assert reloads_itself(shlex.split(command), {}) is reloads


@pytest.mark.parametrize(
    ("command", "variables", "reloads"),
    [
        ("flask run", {"FLASK_DEBUG": "1"}, True),
        ("flask run", {"FLASK_DEBUG": "0"}, False),
        ("flask run --no-debug", {"FLASK_DEBUG": "1"}, False),
        ("uvicorn shop:app", {"UVICORN_RELOAD": "true"}, True),
        ("uvicorn shop:app", {"UVICORN_RELOAD": "false"}, False),
        ("gunicorn shop:app", {"GUNICORN_CMD_ARGS": "--reload -w 2"}, True),
        ("gunicorn shop:app", {"UVICORN_RELOAD": "1"}, False),
    ],
)
def test_the_environment(command, variables, reloads):
    """The variables of that web server count, too."""
    assert reloads_itself(shlex.split(command), variables) is reloads
