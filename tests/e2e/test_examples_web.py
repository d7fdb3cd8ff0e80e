"""The web examples as a person starts them, each with its one command, and stops them again."""

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
MANAGE = str(ROOT / "examples/django_site/manage.py")
PATIENCE = 20.0
WORKERS = {1, 2}


def both(answer):
    """The same of each process."""
    return dict.fromkeys(WORKERS, answer)


class Pages:
    """An example that is served, and asked with a connection for each request."""

    def __init__(self, server, *command):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self.server = server
        words = [word.replace("PORT", str(self.port)) for word in command]
        server.process = server.popen(sys.executable, *words)
        server.await_log("ready: worker1, worker2, mule1")

    def connect(self, method, path):
        """A connection on which this was asked, and the answer; its body is still to be read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path)
        return connection, connection.getresponse()

    def ask(self, method, path):
        """The status, and the body."""
        connection, answer = self.connect(method, path)
        try:
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def of_both(self, path="/"):
        """What each of both processes answers: worker -> answer."""
        answers = {}

        def ask():
            status, body = self.ask("GET", path)
            assert status == 200, body
            answer = json.loads(body)
            answers[answer.pop("worker")] = answer
            return set(answers) == WORKERS

        eventually("answers of both processes", ask)
        return answers

    def stop(self):
        """With the command; nothing is left, and nothing has gone wrong."""
        assert self.server.command("stop").returncode == 0
        assert self.server.wait() == 0
        assert "Traceback" not in self.server.log


def run(app):
    return ["-m", "heliograph", "run", app, "--name", "e2e", "--mules", "1", "--"]


@pytest.fixture
def flask(server, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    gunicorn = ["gunicorn", "-w", "2", "-k", "gthread", "-b", "127.0.0.1:PORT", "examples.flask_app.web:app"]
    return Pages(server, *run("examples.flask_app.tasks"), *gunicorn)


@pytest.fixture
def django(server, monkeypatch):
    monkeypatch.setenv("SITE_DIRECTORY", str(server.directory))
    subprocess.run([sys.executable, MANAGE, "migrate", "-v0"], check=True, timeout=PATIENCE)
    gunicorn = ["gunicorn", "-w", "2", "-b", "127.0.0.1:PORT", "project.wsgi"]
    return Pages(server, MANAGE, "heliograph", "run", "--name", "e2e", "--mules", "1", "--", *gunicorn)


@pytest.fixture
def fastapi(server, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    uvicorn = ["uvicorn", "--workers", "2", "--port", "PORT", "examples.fastapi_app.web:app"]
    return Pages(server, *run("examples.fastapi_app.tasks"), *uvicorn)


def test_flask_every_process_has_the_new_prices(flask):
    """Whichever took the change, and one after another."""
    assert flask.of_both() == both({"prices": {}})
    assert flask.ask("PUT", "/prices/tea/3.5") == (202, "")
    flask.server.await_log("worker1: 1 prices")
    flask.server.await_log("worker2: 1 prices")
    assert flask.of_both() == both({"prices": {"tea": 3.5}})
    flask.ask("PUT", "/prices/coffee/2.0")
    flask.server.await_log("worker1: 2 prices")
    flask.server.await_log("worker2: 2 prices")
    assert flask.of_both() == both({"prices": {"tea": 3.5, "coffee": 2.0}})
    flask.stop()


def test_flask_the_mule_writes_the_report(flask):
    """Told by a page; the nightly rule is there for later."""
    assert flask.ask("GET", "/report")[0] == 404
    flask.ask("PUT", "/prices/tea/3.5")
    flask.server.await_log("worker1: 1 prices")
    assert flask.ask("POST", "/report") == (202, "")
    eventually("the report", lambda: flask.ask("GET", "/report")[0] == 200)
    assert re.fullmatch(r"[\d-]+ by mule1\ntea: 3.50\n", flask.ask("GET", "/report")[1])
    assert "nightly" in flask.server.command("signals", "--next", "1").stdout
    flask.stop()


def test_django_the_mule_confirms_and_every_process_counts(django):
    """With one database, of which each has connections of its own."""
    assert django.of_both() == both({"confirmed": {}})
    for count in (1, 2, 3):
        assert django.ask("POST", "/orders/tea") == (202, "")
        django.server.await_log("mule1: 1 confirmed", count)
        django.server.await_log(f"worker1: {count} counted")
        django.server.await_log(f"worker2: {count} counted")
    assert django.of_both() == both({"confirmed": {"tea": 3}})
    assert django.ask("GET", "/orders/tea")[0] == 405
    django.stop()


def test_django_the_other_commands_find_the_server(django):
    """`manage.py heliograph signals`, `reload`, `stop`, from where it was started."""

    def manage(*arguments):
        command = [sys.executable, MANAGE, "heliograph", *arguments, "--name", "e2e"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert "orders.tasks.confirm_orders" in manage("signals").stdout
    before = django.server.pids()["mule1"]
    done = manage("reload")
    assert done.returncode == 0, done.stderr
    assert django.server.pids()["mule1"] != before
    assert django.ask("POST", "/orders/tea")[0] == 202
    django.server.await_log("mule1: 1 confirmed")
    assert manage("stop").returncode == 0
    assert django.server.wait() == 0


def test_fastapi_whoever_listens_hears_of_a_change(fastapi):
    """Listeners of both processes, and whichever took the change."""
    open_ones = {}

    def listen():
        connection, answer = fastapi.connect("GET", "/changes")
        worker = json.loads(answer.readline())["worker"]
        open_ones.setdefault(worker, []).append((connection, answer))
        return set(open_ones) == WORKERS

    eventually("listeners of both processes", listen)
    assert fastapi.ask("PUT", "/stock/tea/3")[0] == 202
    assert fastapi.ask("PUT", "/stock/7/3")[0] == 422
    for connection, answer in [pair for pairs in open_ones.values() for pair in pairs]:
        assert json.loads(answer.readline()) == {"tea": 3, "total": 3}
        connection.close()
        answer.close()
    assert fastapi.of_both() == both({"stock": {"tea": 3}})
    fastapi.stop()


@pytest.mark.parametrize("example", ["flask", "django", "fastapi"])
def test_each_is_shown_by_one_command(example, tmp_path, monkeypatch):
    """`make demo-flask` and the like: exit code 0, and nothing is left."""
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
