"""Detection of the web server, with functions on the stack that have the names of the web servers' functions.

The end-to-end tests run the real web servers.
"""

import asyncio
import sys
import threading
from types import SimpleNamespace

import pytest

from heliograph.engines.local import web_server_detection


def within(*where):
    """Call `serving_state` from functions of these modules and names, the outermost first."""
    call = web_server_detection.serving_state
    for module, name in reversed(where):
        scope = {"__name__": module, "inner": call}
        exec(f"def {name}():\n    return inner()", scope)
        call = scope[name]
    return call()


GUNICORN = ("gunicorn.arbiter", "run"), ("gunicorn.arbiter", "spawn_worker")
WORKER = *GUNICORN, ("gunicorn.workers.base", "init_process")


@pytest.mark.parametrize(
    ("where", "state"),
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
def test_the_stack_tells_the_part_of_a_process(where, state):
    """For gunicorn, uvicorn and granian: supervising, loading or serving."""
    assert within(*where) == state


def test_another_thread_sees_the_main_threads_stack():
    """The thread that receives signals calls it."""
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


def test_the_loop_that_runs_in_the_main_thread_is_found():
    """From another thread, while it runs and not afterwards."""

    async def main():
        return asyncio.get_running_loop(), seen_from_a_thread()

    expected, found = asyncio.run(main())
    assert found is expected
    assert seen_from_a_thread() is None


def test_a_loop_that_a_request_starts_is_not_the_web_servers():
    """A sync worker answers in the main thread, and a view may run a loop of its own."""

    async def main():
        return seen_from_a_thread()

    scope = {"__name__": "gunicorn.workers.sync", "inner": lambda: asyncio.run(main())}
    exec("def run():\n    return inner()", scope)
    assert scope["run"]() is None


def test_the_search_for_a_loop_runs_no_property():
    """Objects on the stack belong to the application."""

    class Trap:
        @property
        def loop(self):
            raise AssertionError("property was run")

        _loop = loop

        def enter(self):
            return web_server_detection.running_loop()

    assert Trap().enter() is None


@pytest.mark.parametrize(
    ("name", "module", "asks"),
    [("gevent", "gevent.monkey", "is_module_patched"), ("eventlet", "eventlet.patcher", "is_monkey_patched")],
)
def test_a_library_that_has_replaced_threads_is_named(monkeypatch, name, module, asks):
    """One that is only imported is not."""
    patched = []
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{asks: lambda what: what in patched}))
    assert web_server_detection.thread_patcher() == ""
    patched += ["thread", "threading"]
    assert web_server_detection.thread_patcher() == name


def test_plain_threads_have_no_patcher():
    """The name is empty."""
    assert web_server_detection.thread_patcher() == ""


def test_a_server_that_starts_up_is_still_loading():
    """uvicorn says by `started` that the application has started up and the server listens."""

    def state(server):
        scope = {"__name__": "uvicorn.server", "inner": web_server_detection.serving_state}
        exec("def run(self):\n    return inner()", scope)
        return scope["run"](server)

    assert state(SimpleNamespace(started=False)) == "loading"
    assert state(SimpleNamespace(started=True)) == "serving"


def test_a_server_in_a_task_is_found():
    """A coroutine that waits is on no stack."""

    async def main():
        scope = {"__name__": "uvicorn.server", "wait": asyncio.Event().wait}
        exec("async def serve(self):\n    await wait()", scope)
        before = serving_state_from_a_thread()
        task = asyncio.create_task(scope["serve"](SimpleNamespace(started=True)))
        await asyncio.sleep(0)
        found = serving_state_from_a_thread()
        task.cancel()
        return before, found

    assert asyncio.run(main()) == ("elsewhere", "serving")


def test_a_server_in_a_thread_is_found():
    """Programs run `uvicorn.Server.run` so."""
    inside, done = threading.Event(), threading.Event()
    scope = {"__name__": "uvicorn.server", "inside": inside, "done": done}
    exec("def run():\n    inside.set()\n    done.wait(10)", scope)
    thread = threading.Thread(target=scope["run"])
    thread.start()
    inside.wait(10)
    found = web_server_detection.serving_state()
    done.set()
    thread.join()
    assert found == "serving"


def serving_state_from_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(web_server_detection.serving_state()))
    thread.start()
    thread.join()
    return found[0]
