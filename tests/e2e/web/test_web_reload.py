"""`heliograph run --reload` with web servers that reload themselves, and with one that does not."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from heliograph.ipc.instance import control_socket
from heliograph.testing.harness.harness import eventually

pytestmark = [pytest.mark.needs("watchfiles"), pytest.mark.early]

TASKS = """
import os

@Signal().register_handler("workers")
def in_workers():
    record("workers-{word}")

@Signal().register_handler("mule1")
def in_a_mule():
    record("mule-{word}")

def answer():
    return "{word} " + str(os.getpid())
"""

# One more signal before the others, so that they have other numbers.
MORE_TASKS = """
@Signal().register_handler("workers")
def new():
    record("new")
"""

ASGI = """
import tasks

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": tasks.answer().encode()})
"""

FLASK = """
import flask
import tasks
from heliograph.contrib.wsgi import Middleware

app = flask.Flask(__name__)
app.wsgi_app = Middleware(app.wsgi_app)

@app.get("/")
def index():
    return tasks.answer()
"""

MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
DJANGO = {
    "site_settings.py": """
DEBUG = True
SECRET_KEY = "secret"
ROOT_URLCONF = "urls"
WSGI_APPLICATION = "site_wsgi.app"
""",
    "urls.py": """
from django.http import HttpResponse
from django.urls import path
import tasks
urlpatterns = [path("", lambda request: HttpResponse(tasks.answer()))]
""",
    "site_wsgi.py": """
from django.core.wsgi import get_wsgi_application
from heliograph.contrib.wsgi import Middleware
app = Middleware(get_wsgi_application())
""",
}

WSGI = """
import tasks

def app(environ, start_response):
    start_response("200 OK", [("Connection", "close")])
    return [tasks.answer().encode()]
"""

LEFT_ALONE = [
    pytest.param("web.py", ASGI, ("uvicorn", "--reload", "--port", "PORT", "web:app"), id="uvicorn"),
    pytest.param("web.py", FLASK, ("flask", "--app", "web", "run", "--debug", "--port", "PORT"), id="flask"),
    pytest.param("manage.py", MANAGE, (sys.executable, "manage.py", "runserver", "PORT"), id="runserver"),
]
HUNG_UP = [
    pytest.param("web.py", ASGI, ("uvicorn", "--port", "PORT", "web:app"), id="uvicorn without --reload"),
    pytest.param("web.py", WSGI, ("gunicorn", "-b", "127.0.0.1:PORT", "web:app"), id="gunicorn"),
]


class Site:
    """A server that reloads by itself, with a web server."""

    def __init__(self, server) -> None:
        self.server = server
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]

    def start(self, name: str, app: str, command: tuple[str, ...]) -> None:
        self.server.write(TASKS.format(word="first"))
        for path, text in {name: app, **(DJANGO if name == "manage.py" else {})}.items():
            (self.server.directory / path).write_text(text)
        words = [word.replace("PORT", str(self.port)) for word in command]
        self.server.launch("--mules", "1", "--reload", "--", *words)
        self.server.await_log("Reloading when ")
        self.await_answer("first")
        self.await_handled("in_workers", "workers-first")

    def answer(self) -> str:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/").text
        except httpx.TransportError:
            return ""

    def await_answer(self, word: str) -> None:
        with self.explained():
            eventually(f"an answer of the {word} code", lambda: self.answer().startswith(word), 60)

    def await_handled(self, function: str, what: str) -> None:
        """Send a signal again and again until the code has run, in the server and in the web server."""

        def handled() -> bool:
            self.answer()  # some processes join at a request
            self.server.command("send", f"tasks:{function}")
            return bool(self.server.events(what))

        with self.explained():
            eventually(what, handled, 60)

    @contextlib.contextmanager
    def explained(self):
        try:
            yield
        except AssertionError as error:
            raise AssertionError(f"{error} The log:\n{self.server.log}") from None


@pytest.fixture
def site(server):
    yield Site(server)
    server.clean()
    environment = f"HELIOGRAPH_MASTER={control_socket(server.name)}\0".encode()
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and environment in (path / "environ").read_bytes() + b"\0":
                os.kill(int(path.name), signal.SIGKILL)


@pytest.mark.parametrize(("name", "app", "command"), LEFT_ALONE)
def test_a_web_server_that_reloads_itself_is_left_alone(site, require, name, app, command):
    """Its new process has the same code and the same numbers as the server, whichever of the two was faster."""
    require("django" if name == "manage.py" else command[0])
    site.start(name, app, command)
    web_server = site.server.pids()["webserver"]
    site.server.write(MORE_TASKS + TASKS.format(word="second"))
    site.await_answer("second")
    site.await_handled("in_workers", "workers-second")
    site.await_handled("in_a_mule", "mule-second")
    site.await_handled("new", "new")
    assert site.server.pids()["webserver"] == web_server
    assert "gets no signals" not in site.server.log
    assert "so it never runs" not in site.server.log
    assert site.server.end() == 0


@pytest.mark.parametrize(("name", "app", "command"), HUNG_UP)
def test_another_web_server_is_reloaded(site, require, name, app, command):
    """As at `heliograph reload`."""
    require(command[0])
    site.start(name, app, command)
    site.server.write(MORE_TASKS + TASKS.format(word="second"))
    site.await_answer("second")
    site.await_handled("in_workers", "workers-second")
    site.await_handled("new", "new")
    assert "gets no signals" not in site.server.log
    assert site.server.end() == 0


@pytest.mark.needs("uvicorn")
def test_broken_code_is_mended_by_the_next_save(site):
    """Both the server and a web server that reloads itself go on with it."""
    site.start("web.py", ASGI, ("uvicorn", "--reload", "--port", "PORT", "web:app"))
    site.server.write(TASKS.format(word="second") + "\nthis is no code\n")
    site.server.await_log("The new code does not load, the old code goes on: SyntaxError", timeout=60)
    site.server.write(TASKS.format(word="the-third"))
    site.await_answer("the-third")
    site.await_handled("in_workers", "workers-the-third")
    site.await_handled("in_a_mule", "mule-the-third")
    assert site.server.end() == 0
