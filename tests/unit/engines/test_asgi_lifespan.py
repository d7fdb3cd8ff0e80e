"""The lifespan of an ASGI application, with functions on the stack that have the names of the web servers' functions.

The end-to-end tests run the real web servers.
"""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from heliograph.engines.local import asgi_lifespan


def frame_of(module, function, **local):
    """Return a frame of that function with these local variables."""
    scope = {"__name__": module, "get": sys._getframe}
    exec(f"def {function}({', '.join(local)}):\n    return get()", scope)
    return scope[function](**local)


def granian(lifespan):
    return frame_of("granian.server.mp", "_spawn_asgi_lifespan_worker", lifespan_handler=lifespan)


def event(*, is_set):
    return SimpleNamespace(event_startup=SimpleNamespace(is_set=lambda: is_set))


@pytest.mark.parametrize(
    ("frame", "starting"),
    [
        (frame_of("uvicorn.server", "serve", self=SimpleNamespace(started=False)), True),
        (frame_of("uvicorn.server", "serve", self=SimpleNamespace(started=True)), False),
        (frame_of("gunicorn.workers.gasgi", "run", self=SimpleNamespace(servers=[])), True),
        (frame_of("gunicorn.workers.gasgi", "run", self=SimpleNamespace(servers=[1])), False),
        (frame_of("gunicorn.workers.sync", "run", self=SimpleNamespace(servers=[])), False),
        (granian(None), True),
        (granian(event(is_set=False)), True),
        (granian(event(is_set=True)), False),
        (frame_of("uvicorn.server", "run", self=object()), False),
    ],
)
def test_a_server_says_when_it_has_started(frame, starting):
    """By an attribute of its own. A version without that attribute counts as started."""
    assert asgi_lifespan.is_starting([frame]) is starting


@pytest.mark.parametrize("name", ["receive_queue", "event_queue", "_receive_queue"])
def test_a_function_is_called_before_the_shutdown(name):
    """Before the application gets the message, once, and not at the startup."""

    async def main():
        queue, called = asyncio.Queue(), []
        frames = [granian(SimpleNamespace(**{name: queue})), granian(None)]
        for _ in range(2):
            asgi_lifespan.call_before_shutdown(frames, lambda: called.append(queue.qsize()))
        await queue.put({"type": "lifespan.startup"})
        assert (called, queue.get_nowait()) == ([], {"type": "lifespan.startup"})
        await queue.put({"type": "lifespan.shutdown"})
        assert (called, queue.get_nowait()) == ([0], {"type": "lifespan.shutdown"})

    asyncio.run(main())
