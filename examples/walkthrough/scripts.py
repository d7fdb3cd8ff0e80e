"""Scripts of the web examples: request pages, which send signals and enqueue tasks, and show who handled them."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .server import ROOT, TIMEOUT, ExampleServer


@dataclass(frozen=True, slots=True)
class Script:
    """Commands to start an example, and a function that shows it.

    The commands are arguments of Python, with PORT for a free port and SPOOL for a directory.
    """

    command: tuple[str, ...]
    show: Callable[[ExampleServer], None]
    prepare: tuple[str, ...] = ()
    """Command to run before the server starts."""
    working_directory: Path = ROOT
    """Working directory of the commands."""


def show_flask(server: ExampleServer) -> None:
    """Show the prices in both workers, the report of the mule, and a mail of the spooler."""
    server.request("PUT", "/prices/tea/3.5")
    server.wait_for_log("worker1: 1 prices", "worker2: 1 prices")
    server.request("GET", "/")
    server.request("POST", "/report")
    server.wait_for("the report", (server.directory / "report.txt").exists)
    server.request("GET", "/report")
    server.request("POST", "/orders/tea?to=ann@example.org")
    server.wait_for_log("spooler1: mail to ann@example.org: ")


def show_django(server: ExampleServer) -> None:
    """Show an order that the mule confirms, both workers count, and the spooler mails about."""
    server.request("POST", "/orders/tea?to=ann@example.org")
    server.wait_for_log("mule1: 1 confirmed", "worker1: 1 counted", "worker2: 1 counted", "spooler1: mail to ")
    server.request("GET", "/")


def show_fastapi(server: ExampleServer) -> None:
    """Show a change that every listener receives, and a mail of the spooler."""
    with urllib.request.urlopen(f"{server.address}/changes", timeout=TIMEOUT) as changes:  # noqa: S310 - a local server
        print(f"GET  /changes         {changes.readline().decode().strip()}")
        server.request("PUT", "/stock/tea/3")
        print(f"     /changes         {changes.readline().decode().strip()}")
    server.wait_for_log("worker1: notified ", "worker2: notified ")
    server.request("POST", "/orders/tea?to=ann@example.org")
    server.wait_for_log("spooler1: mail to ann@example.org: ")


_OPTIONS = ("--mules", "1", "--spooler", "SPOOL")
_RUN = ("-m", "heliograph", "run", *_OPTIONS)
_GUNICORN = ("gunicorn", "-w", "2", "-b", "127.0.0.1:PORT")
_UVICORN = ("uvicorn", "--workers", "2", "--port", "PORT")

SCRIPTS = {
    "flask": Script(
        (*_RUN, "examples.flask_app.tasks", "--", *_GUNICORN, "-k", "gthread", "examples.flask_app.web:app"),
        show_flask,
    ),
    "django": Script(
        ("manage.py", "heliograph", "run", *_OPTIONS, "--", *_GUNICORN, "project.wsgi"),
        show_django,
        prepare=("manage.py", "migrate", "-v0"),
        working_directory=ROOT / "examples/django_site",
    ),
    "fastapi": Script(
        (*_RUN, "examples.fastapi_app.tasks", "--", *_UVICORN, "examples.fastapi_app.web:app"),
        show_fastapi,
    ),
}
