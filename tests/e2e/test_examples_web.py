"""The web examples, started and stopped with the commands of their README files."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.testing.harness.harness import eventually

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.needs("flask", "django", "fastapi", "gunicorn", "uvicorn")

MANAGE = str(ROOT / "examples/django_site/manage.py")
OPTIONS = ("--name", "e2e", "--mules", "1", "--spooler", "spool", "--")
TIMEOUT = 20.0
WORKERS = {1, 2}


def both(answer):
    """Return the same answer for each worker."""
    return dict.fromkeys(WORKERS, answer)


class Pages:
    """Start an example, and make each request on a new connection."""

    def __init__(self, server, *command):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self.server = server
        words = [word.replace("PORT", str(self.port)) for word in command]
        server.process = server.popen(sys.executable, *words)
        server.await_log("Server ready: worker1, worker2, mule1, spooler1")

    def connect(self, method, path):
        """Return a connection and the response. The body is not read yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        connection.request(method, path)
        return connection, connection.getresponse()

    def request(self, method, path):
        """Return the status and the body."""
        connection, answer = self.connect(method, path)
        try:
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def of_both(self, path="/"):
        """Return the answer of each worker: worker -> answer."""
        answers = {}

        def request():
            status, body = self.request("GET", path)
            assert status == 200, body
            answer = json.loads(body)
            answers[answer.pop("worker")] = answer
            return set(answers) == WORKERS

        eventually("answers of both workers", request)
        return answers

    def stop(self):
        """Stop the server with the command, and check that it exits cleanly."""
        assert self.server.command("stop").returncode == 0
        assert self.server.wait() == 0
        assert "Traceback" not in self.server.log


def run(app):
    return ["-m", "heliograph", "run", app, *OPTIONS]


@pytest.fixture
def flask(server, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    gunicorn = ["gunicorn", "-w", "2", "-k", "gthread", "-b", "127.0.0.1:PORT", "examples.flask_app.web:app"]
    return Pages(server, *run("examples.flask_app.tasks"), *gunicorn)


@pytest.fixture
def django(server, monkeypatch):
    monkeypatch.setenv("SITE_DIRECTORY", str(server.directory))
    subprocess.run([sys.executable, MANAGE, "migrate", "-v0"], check=True, timeout=TIMEOUT)
    gunicorn = ["gunicorn", "-w", "2", "-b", "127.0.0.1:PORT", "project.wsgi"]
    return Pages(server, MANAGE, "heliograph", "run", *OPTIONS, *gunicorn)


@pytest.fixture
def fastapi(server, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    uvicorn = ["uvicorn", "--workers", "2", "--port", "PORT", "examples.fastapi_app.web:app"]
    return Pages(server, *run("examples.fastapi_app.tasks"), *uvicorn)


def test_flask_every_worker_has_the_new_prices(flask):
    """Each change reaches both workers, whichever handled the request."""
    assert flask.of_both() == both({"prices": {}})
    assert flask.request("PUT", "/prices/tea/3.5") == (202, "")
    flask.server.await_log("worker1: 1 prices")
    flask.server.await_log("worker2: 1 prices")
    assert flask.of_both() == both({"prices": {"tea": 3.5}})
    flask.request("PUT", "/prices/coffee/2.0")
    flask.server.await_log("worker1: 2 prices")
    flask.server.await_log("worker2: 2 prices")
    assert flask.of_both() == both({"prices": {"tea": 3.5, "coffee": 2.0}})
    flask.stop()


def test_flask_the_mule_writes_the_report(flask):
    """A page requests the report, and the nightly rule is scheduled."""
    assert flask.request("GET", "/report")[0] == 404
    flask.request("PUT", "/prices/tea/3.5")
    flask.server.await_log("worker1: 1 prices")
    assert flask.request("POST", "/report") == (202, "")
    eventually("the report", lambda: flask.request("GET", "/report")[0] == 200)
    assert re.fullmatch(r"[\d-]+ by mule1\ntea: 3.50\n", flask.request("GET", "/report")[1])
    assert "nightly" in flask.server.command("signals", "--next", "1").stdout
    flask.stop()


def await_end(pages, path):
    """Wait until a task of an example has ended."""

    def ended():
        return json.loads(pages.request("GET", path)[1])["status"] == "SUCCESSFUL"

    eventually("the end of the task", ended)


def test_flask_the_spooler_mails_the_confirmation(flask):
    """A page enqueues a task, and another one shows its status."""
    assert flask.request("POST", "/orders/tea?to=ann@example.org")[0] == 404
    flask.request("PUT", "/prices/tea/3.5")
    flask.server.await_log("worker1: 1 prices")
    flask.server.await_log("worker2: 1 prices")
    status, body = flask.request("POST", "/orders/tea?to=ann@example.org")
    assert status == 202
    flask.server.await_log("spooler1: mail to ann@example.org: you have ordered tea for 3.50")
    await_end(flask, f"/orders/{json.loads(body)['task']}")
    flask.stop()


def test_django_the_mule_confirms_and_every_worker_counts(django):
    """All processes use one database, each with its own connections."""
    assert django.of_both() == both({"confirmed": {}})
    for count in (1, 2, 3):
        assert django.request("POST", "/orders/tea") == (202, "")
        django.server.await_log("mule1: 1 confirmed", count)
        django.server.await_log(f"worker1: {count} counted")
        django.server.await_log(f"worker2: {count} counted")
    assert django.of_both() == both({"confirmed": {"tea": 3}})
    assert django.request("GET", "/orders/tea")[0] == 405
    django.stop()


def test_django_the_other_commands_find_the_server(django):
    """`manage.py heliograph signals`, `reload` and `stop` find the server."""

    def manage(*arguments):
        command = [sys.executable, MANAGE, "heliograph", *arguments, "--name", "e2e"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert "orders.tasks.confirm_orders" in manage("signals").stdout
    before = django.server.pids()["mule1"]
    done = manage("reload")
    assert done.returncode == 0, done.stderr
    assert django.server.pids()["mule1"] != before
    assert django.request("POST", "/orders/tea")[0] == 202
    django.server.await_log("mule1: 1 confirmed")
    assert manage("stop").returncode == 0
    assert django.server.wait() == 0


def test_django_the_spooler_mails_the_confirmation(django):
    """The task is enqueued after the commit, so it finds the order."""
    assert django.request("POST", "/orders/tea?to=ann@example.org") == (202, "")
    django.server.await_log("spooler1: mail to ann@example.org: you have ordered tea")
    django.stop()


def test_fastapi_the_spooler_mails_the_supplier(fastapi):
    """A page enqueues the task of a coroutine function, and another one shows its status."""
    status, body = fastapi.request("POST", "/orders/tea?to=ann@example.org")
    assert status == 202
    fastapi.server.await_log("spooler1: mail to ann@example.org: we need tea")
    await_end(fastapi, f"/orders/{json.loads(body)['task']}")
    fastapi.stop()


def test_fastapi_every_listener_receives_a_change(fastapi):
    """Listeners of both workers receive it, whichever handled the request."""
    listeners = {}

    def listen():
        connection, answer = fastapi.connect("GET", "/changes")
        worker = json.loads(answer.readline())["worker"]
        listeners.setdefault(worker, []).append((connection, answer))
        return set(listeners) == WORKERS

    eventually("listeners of both workers", listen)
    assert fastapi.request("PUT", "/stock/tea/3")[0] == 202
    assert fastapi.request("PUT", "/stock/7/3")[0] == 422
    for connection, answer in [pair for pairs in listeners.values() for pair in pairs]:
        assert json.loads(answer.readline()) == {"tea": 3, "total": 3}
        connection.close()
        answer.close()
    assert fastapi.of_both() == both({"stock": {"tea": 3}})
    fastapi.stop()


@pytest.mark.parametrize("example", ["flask", "django", "fastapi"])
def test_one_command_shows_each_example(example, tmp_path, monkeypatch):
    """`make demo-flask`, `demo-django` and `demo-fastapi` exit with code 0."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.walkthrough", example],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("stopped, exit code 0\n")
