"""A stop of a server with a web server: the time that each of its processes gets, and SIGTERM to all of them."""

import contextlib
import os
import signal
import threading

import httpx
import pytest

from heliograph.testing.harness.harness import eventually

CODE = """
import atexit

@Signal(1).register_handler("mule1")
def work():
    record("begun")
    time.sleep(0.3)
    record("done")

@Signal(2).register_handler("mule1")
def short():
    time.sleep(0.01)
    record("short")

@uwsgi.postfork_hooks.add()
def hook():
    atexit.register(record, "exit")

def answer(path):
    for _ in range(300 if path == "fill" else 0):
        Signal(2).send()
    return b"{}"
"""
STREAM = """
import asyncio, tasks
from web import asgi

async def app(scope, receive, send):
    if scope.get("path") != "/stream":
        return await asgi(scope, receive, send)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        tasks.Signal(1).send()
        await send({"type": "http.response.body", "body": b"tick\\n", "more_body": True})
        await asyncio.sleep(0.35)
"""
UVICORN = ("python", "-m", "uvicorn", "--port", "{port}", "stream:app")


@pytest.fixture
def read_stream():
    """A function that reads an endless response in a thread, until the server closes it."""
    threads = []

    def read(url):
        def run():
            try:
                with httpx.stream("GET", url, timeout=30) as response:
                    for _ in response.iter_bytes():
                        pass
            except httpx.TransportError:
                pass

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield read
    for thread in threads:
        thread.join(30)


def test_an_open_stream_does_not_hold_up_the_mules(make_web_server, tmp_path, read_stream):
    """The web server is killed after its part of the graceful timeout. The mule finishes its handler and exits."""
    web_server = make_web_server(*UVICORN)
    (tmp_path / "stream.py").write_text(STREAM)
    server = web_server.start("--graceful-timeout", "4", code=CODE).server
    mule = server.pids()["mule1"]
    read_stream(f"{web_server.url}/stream")
    server.expect(2, "begun")
    assert server.end() == 0
    assert len(server.events("begun")) == len(server.events("done"))
    assert mule in {event.pid for event in server.events("exit")}
    killed = [line for line in server.log.splitlines() if "killing it" in line]
    assert [" mule" in line for line in killed] == [False] * len(killed)
    assert "Web server (pid " in killed[-1]
    assert "did not exit within 3 s, its part of the graceful timeout, killing it" in killed[-1]


def test_sigterm_to_all_processes_is_told_with_the_setting_that_avoids_it(web_server):
    """Nothing keeps the web server's workers from exiting. The signals of mules are handled nevertheless."""
    server = web_server.start(code=CODE).server
    web_server.await_workers(bool)
    web_server.get("fill")
    server.expect(3, "short")
    for pid in server.session():
        with contextlib.suppress(ProcessLookupError):  # the processes before it end it, too
            os.kill(pid, signal.SIGTERM)
    assert server.wait() == 0
    assert len(server.events("short")) == 300
    assert "KillMode=mixed in systemd" in server.log


def test_the_web_server_is_asked_to_exit_when_the_queues_are_empty(web_server):
    """SIGTERM to the master alone needs no such setting."""
    server = web_server.start(code=CODE).server
    web_server.get("fill")
    eventually("an event", lambda: server.events("short"))
    assert server.end() == 0
    assert len(server.events("short")) == 300
    assert "KillMode" not in server.log
