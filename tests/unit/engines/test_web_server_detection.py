"""Which web server a process belongs to, read off its stack: functions that stand where those of the servers do.

The end-to-end tests have the real ones.
"""

import asyncio
import sys
import threading
from types import SimpleNamespace

import pytest

from heliograph.engines.local import web_server_detection


def within(*where):
    """Call `web_server_detection.stage` from functions of that module and name, the outermost first."""
    call = web_server_detection.serving_state
    for module, name in reversed(where):
        scope = {"__name__": module, "inner": call}
        exec(f"def {name}():\n    return inner()", scope)
        call = scope[name]
    return call()


GUNICORN = ("gunicorn.arbiter", "run"), ("gunicorn.arbiter", "spawn_worker")
WORKER = *GUNICORN, ("gunicorn.workers.base", "init_process")


@pytest.mark.parametrize(
    ("where", "stage"),
    [
        ((), "elsewhere"),
        ((("shop.web", "init_process"),), "elsewhere"),
        ((("gunicorn.arbiter", "setup"),), "supervising"),
        (GUNICORN, "supervising"),
        ((*WORKER, ("gunicorn.workers.base", "load_wsgi")), "loading"),
        ((*WORKER, ("gunicorn.workers.sync", "run")), "serving"),
        ((*WORKER, ("gunicorn.workers.gasgi", "load_wsgi")), "loading"),
        ((*WORKER, ("uvicorn.workers", "run")), "serving"),
        ((("uvicorn.supervisors.multiprocess", "run"),), "supervising"),
        ((("uvicorn.server", "run"), ("uvicorn.config", "load")), "loading"),
        ((("uvicorn.server", "run"), ("asyncio.runners", "run")), "serving"),
        ((("granian.server.common", "serve"),), "supervising"),
        ((("granian.server.common", "serve"), ("granian.server.mp", "wrapped")), "serving"),
        ((("granian.server.mp", "wrapped"), ("granian._internal", "load_target")), "loading"),
    ],
)
def test_the_stack_tells_what_a_process_is_for(where, stage):
    """Of gunicorn, uvicorn and granian: who looks after others, who loads, who serves."""
    assert within(*where) == stage


def test_another_thread_sees_the_main_threads_stack():
    """The one that takes signals asks."""
    found = []

    def ask():
        thread = threading.Thread(target=lambda: found.append(web_server_detection.serving_state()))
        thread.start()
        thread.join()

    scope = {"__name__": "uvicorn.server", "inner": ask}
    exec("def run():\n    return inner()", scope)
    scope["run"]()
    assert found == ["serving"]


def seen_from_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(web_server_detection.running_loop()))
    thread.start()
    thread.join()
    return found[0]


def test_the_loop_that_runs_in_the_main_thread_is_seen():
    """From another thread, while it runs and not after."""

    async def main():
        return asyncio.get_running_loop(), seen_from_a_thread()

    expected, found = asyncio.run(main())
    assert found is expected
    assert seen_from_a_thread() is None


def test_a_loop_that_a_request_starts_is_none_of_the_servers():
    """A sync worker answers in the main thread, and a view may run a loop of its own."""

    async def main():
        return seen_from_a_thread()

    scope = {"__name__": "gunicorn.workers.sync", "inner": lambda: asyncio.run(main())}
    exec("def run():\n    return inner()", scope)
    assert scope["run"]() is None


def test_no_property_is_touched_in_the_search():
    """What stands on the stack is anybody's, and looking must not run it."""

    class Trap:
        @property
        def loop(self):
            raise AssertionError("touched")

        _loop = loop

        def enter(self):
            return web_server_detection.running_loop()

    assert Trap().enter() is None


@pytest.mark.parametrize(
    ("name", "module", "asks"),
    [("gevent", "gevent.monkey", "is_module_patched"), ("eventlet", "eventlet.patcher", "is_monkey_patched")],
)
def test_who_has_replaced_threads_is_named(monkeypatch, name, module, asks):
    """To have it imported is not enough."""
    patched = []
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{asks: lambda what: what in patched}))
    assert web_server_detection.thread_patcher() == ""
    patched += ["thread", "threading"]
    assert web_server_detection.thread_patcher() == name


def test_nobody_has_replaced_threads_here():
    assert web_server_detection.thread_patcher() == ""
