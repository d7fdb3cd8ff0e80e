"""Sentry with its real SDK and transport, on the heliograph server. A server of the test takes the events."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from heliograph.testing.harness.harness import eventually

pytestmark = pytest.mark.needs("sentry_sdk")

CODE = """
import asyncio, threading
import sentry_sdk
from heliograph import task
from heliograph.contrib.sentry import HeliographIntegration

sentry_sdk.init("http://key@127.0.0.1:{port}/1", integrations=[{integration}])

@Signal(1).register_handler("mule1")
async def broken():
    await asyncio.sleep(0)
    raise LookupError("signal")

@task(target="spooler", retries=1, backoff=0)
def job():
    raise LookupError("task")

@Signal(2).register_handler("mule1")
def enqueue():
    job.enqueue()

@Signal(3).register_handler("mule1")
def leave():
    raise LookupError("last") from None

@Signal(4).register_handler("worker1")
def in_thread():
    def run():
        Signal(1).send()
    threading.Thread(target=run).start()
"""


class Events:
    """A server that takes what the SDK sends, and keeps the events."""

    def __init__(self):
        self.found = []
        events = self.found

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                lines = body.split(b"\n")
                events.extend(
                    json.loads(payload)
                    for header, payload in zip(lines[1::2], lines[2::2], strict=False)
                    if json.loads(header or b"{}").get("type") == "event"
                )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def facts(self):
        return sorted((event["exception"]["values"][-1]["value"], event.get("transaction")) for event in self.found)


@pytest.fixture
def events():
    """The events that the SDK has sent."""
    made = Events()
    yield made
    made.close()


def start(server, events, integration="HeliographIntegration()"):
    code = CODE.format(port=events.server.server_port, integration=integration)
    return server.start(code, "--mules", "1", "--spooler", "spool")


def test_each_error_arrives_once_with_its_name(server, events):
    """Of a handler, of a task after its last attempt, and of a handler whose signal a thread sent."""
    start(server, events)
    for num in (1, 2, 4):
        server.send(num)
    eventually("three events", lambda: len(events.found) >= 3)
    assert server.end() == 0
    assert events.facts() == [("signal", "tasks.broken"), ("signal", "tasks.broken"), ("task", "tasks:job")]
    by = {event["transaction"]: event["tags"]["heliograph.process"] for event in events.found}
    assert by == {"tasks.broken": "mule1", "tasks:job": "spooler1"}


@pytest.mark.parametrize("integration", ["HeliographIntegration()", ""], ids=["integration", "logging"])
def test_the_error_before_the_end_of_the_process_arrives(server, events, integration):
    """The SDK sends it in a thread. The process waits for that when it exits."""
    start(server, events, integration)
    server.send(3)
    server.await_row(3, failed=1)
    assert server.end() == 0
    assert [text for text, _ in events.facts()] == ["last"]
