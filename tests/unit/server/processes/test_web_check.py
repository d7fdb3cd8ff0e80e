"""Importing the web application before a reload."""

import sys
from types import SimpleNamespace

import pytest

from heliograph.models import Topology
from heliograph.server.processes import web_check

COMMAND = ("gunicorn", "application_under_test:{}")


@pytest.fixture
def check(tmp_path, monkeypatch):
    """A function that checks an application with some code: `check("app", "app = 1")`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("heliograph.settings.web_application.find_command", lambda _: f"{sys.executable}-of-a-server")

    def run(name, code, **files):
        for module, text in {"application_under_test": code, **files}.items():
            (tmp_path / f"{module}.py").write_text(text)
        command = [word.format(name) for word in COMMAND]
        return web_check.check_web_application(command, Topology(workers=2, mules=1))

    return run


def test_an_application_that_can_be_imported(check):
    """It may register signals for processes of the server. Nothing stays here."""
    code = (
        "from heliograph.runtime import Signal\n"
        "print('imported')\n"
        "@Signal(9).register_handler('mule1')\ndef handle(): pass\n"
        "def app(environ, start_response): pass\n"
    )
    assert check("app", code) is None
    assert "application_under_test" not in sys.modules


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("app", "def app(:\n", "SyntaxError"),
        ("app", "import views_under_test\napp = print\n", "ZeroDivisionError"),
        ("app", "from heliograph.runtime import Signal\nSignal(9).register_handler('mule7')(print)\n", "mule7"),
        ("missing", "app = print\n", "missing"),
        ("make()", "def make():\n    import views_under_test\n", "ZeroDivisionError"),
        ("app", "raise SystemExit(5)\n", "SystemExit: 5"),
        ("app", "import os\nos._exit(5)\n", "exit code 5"),
    ],
)
def test_an_application_that_cannot_be_imported(check, name, code, reason):
    """The factory of an application is called, as the web server does."""
    found = check(name, code, views_under_test="1 / 0\n")
    assert reason in found
    assert "web application" in found


def test_a_module_that_is_missing_is_no_failure(check, tmp_path):
    """The web server may know where it is."""
    (tmp_path / "application_under_test.py").unlink(missing_ok=True)
    assert web_check.check_web_application(("gunicorn", "no_such_module:app"), Topology(workers=1)) is None


def test_an_unknown_command_is_not_checked(check):
    assert web_check.check_web_application(("waitress-serve", "application_under_test:app"), Topology()) is None


def test_the_urls_of_django_are_imported(check, monkeypatch):
    """Django imports them at the first request, so a web server would start with broken ones."""
    settings = SimpleNamespace(configured=True, ROOT_URLCONF="urls_under_test")
    monkeypatch.setitem(sys.modules, "django.conf", SimpleNamespace(settings=settings))
    assert check("app", "app = print\n", urls_under_test="") is None
    assert "ZeroDivisionError" in check("app", "app = print\n", urls_under_test="1 / 0\n")
    settings.configured = False
    assert check("app", "app = print\n", urls_under_test="1 / 0\n") is None
