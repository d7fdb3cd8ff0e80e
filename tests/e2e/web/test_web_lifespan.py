"""ASGI applications with a startup and a shutdown, and web servers that a program starts."""

import pytest

from heliograph.testing.harness.harness import eventually

CODE = """
from heliograph.runtime.scheduling import register_timer
STATE = {"phase": "starting"}

@register_timer(0.05, target="workers", name="plain")
def plain():
    record(STATE["phase"])

@register_timer(0.05, target="workers", name="awaited")
async def awaited():
    record(STATE["phase"])

def answer(path):
    return b"{}"
"""
LIFESPAN = """
import asyncio, os, tasks

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await asyncio.sleep(0.5)
        tasks.STATE["phase"] = "serving"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        tasks.STATE["phase"] = "closed"
        await asyncio.sleep(0.5)
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": b"hi"})
"""
SERVERS = {
    "uvicorn": ("python", "-m", "uvicorn", "--port", "{port}", "site_:app"),
    "uvicorn-workers": ("python", "-m", "uvicorn", "--workers", "2", "--port", "{port}", "site_:app"),
    "granian": ("python", "-m", "granian", "--port", "{port}", "--interface", "asgi", "site_:app"),
}


@pytest.mark.parametrize("command", SERVERS)
def test_a_process_is_a_worker_while_its_application_has_started_up(make_web_server, tmp_path, command):
    """No handler runs before the startup or after the shutdown of the application, at a reload and at a stop."""
    web_server = make_web_server(*SERVERS[command])
    (tmp_path / "site_.py").write_text(LIFESPAN)
    web_server.start(code=CODE)
    server = web_server.server
    eventually("handlers", lambda: len(server.events()) > 5)
    pids = web_server.workers()
    if command != "uvicorn":  # SIGHUP ends uvicorn without --workers
        assert server.command("reload").returncode == 0, server.log
        eventually("new processes", lambda: not set(web_server.workers().values()) & set(pids.values()))
        count = len(server.events())
        eventually("handlers", lambda: len(server.events()) > count + 5)
    assert server.end() == 0
    assert {event.what for event in server.events()} == {"serving"}


PROGRAMS = {
    "serve": "asyncio.run(uvicorn.Server(config).serve())",
    "gather": """
async def main():
    await asyncio.gather(uvicorn.Server(config).serve(), asyncio.sleep(0.1))
asyncio.run(main())
""",
    "thread": """
thread = threading.Thread(target=uvicorn.Server(config).run)
thread.start()
thread.join()
""",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_server_that_a_program_starts_joins(make_web_server, tmp_path, program):
    """In a coroutine, next to others, or in a thread."""
    (tmp_path / "site_.py").write_text(LIFESPAN)
    setup = "import asyncio, sys, threading, uvicorn\nconfig = uvicorn.Config('site_:app', port=int(sys.argv[1]))\n"
    (tmp_path / "main.py").write_text(setup + PROGRAMS[program])
    web_server = make_web_server("python", "main.py", "{port}").start(code=CODE)
    eventually("a worker", lambda: list(web_server.workers()) == ["worker1"])
    eventually("handlers", lambda: len(web_server.server.events()) > 5)
    web_server.server.end()
    assert {event.what for event in web_server.server.events()} == {"serving"}
