"""The hooks of the application's life, and exit functions, in the processes of web servers."""

from heliograph.testing.harness.harness import eventually

CODE = """
import asyncio, atexit
from heliograph import on_failure, on_start, on_stop

@on_start(roles="worker")
async def start():
    await asyncio.sleep(0)
    record("start")
    atexit.register(record, "own")

@on_stop(roles="worker")
async def stop():
    await asyncio.sleep(0)
    record("stop")

@on_failure
def failed(failure):
    record(f"failed-{failure.signal.num}")

@Signal(10).register_handler("worker1")
def broken():
    raise LookupError

def answer(path):
    if path == "fail":
        Signal(10).send()
    return b"{}"
"""


def test_hooks_run_once_in_each_web_worker(web_server):
    """Those for the start before the first signal, those for the end after the last one, also at a reload."""
    server = web_server.start(code=CODE).server
    server.expect(2, "start")
    workers = web_server.await_workers(bool)
    web_server.get("fail")
    assert {event.by for event in server.expect(1, "failed-10")} == {"worker1"}
    assert server.command("reload").returncode == 0
    web_server.await_workers(lambda found: not set(found.values()) & set(workers.values()))
    eventually("the old ones to stop", lambda: set(workers.values()) <= {e.pid for e in server.events("stop")})
    assert server.end() == 0
    stopped = [event.pid for event in server.events("stop")]
    assert sorted(stopped) == sorted({event.pid for event in server.events("start")})
    assert len(stopped) == len(set(stopped)) >= 4
    if web_server.command[0] == "gunicorn":  # uvicorn and granian end their processes without exit functions
        assert sorted(event.pid for event in server.events("own")) == sorted(stopped)


def test_a_web_worker_whose_start_hook_fails_serves_requests_and_takes_no_signals(make_web_server):
    """The log has the exception."""
    code = (
        CODE
        + """
@on_start(roles="worker")
def fail():
    raise ConnectionError("no connection")
"""
    )
    server = make_web_server("gunicorn-sync")
    server.server.write(code)
    server.server.launch("--", *server.command)
    server.server.await_log("gets no signals: it cannot receive them as worker")
    assert "ConnectionError: no connection" in server.server.log
    eventually("an answer", server.answers)
    assert server.server.end() == 0
    assert server.server.events("stop") == []
