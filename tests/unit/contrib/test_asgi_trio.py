"""The middleware and the lifespan for ASGI applications on trio, which has no asyncio loop."""

from functools import partial

import pytest

from heliograph.contrib.asgi import Middleware, lifespan

from .test_asgi import COMPLETE, SHUTDOWN, STARTUP, Application, ask, live

trio = pytest.importorskip("trio")


def test_the_middleware_joins_and_leaves(engine):
    """In a thread, so that trio goes on. Requests pass."""

    async def main():
        app = Middleware(Application(engine))
        await live(app, engine)
        await ask(app, engine)

    trio.run(main)
    assert engine.seen == [
        *("lifespan", COMPLETE["type"], ("join", None), ("leave", False), SHUTDOWN["type"]),
        *("http", {"type": "http.response.start", "receive": "a body"}),
    ]


def test_the_lifespan_joins_and_leaves(engine):
    """A task that was cancelled leaves, too."""

    async def main():
        with trio.CancelScope() as scope:
            async with lifespan(object()):
                engine.seen.append("serving")
                scope.cancel()
                await trio.sleep(10)

    trio.run(main)
    assert engine.seen == [("join", None), "serving", ("leave", False)]


def test_trio_goes_on_while_the_process_leaves(engine):
    """Requests can finish while a handler runs."""
    engine.may_leave.clear()

    async def finish():
        await trio.to_thread.run_sync(partial(engine.leaving.wait, 10))
        engine.may_leave.set()

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(finish)
            await live(Middleware(Application(engine)), engine)

    trio.run(main)
    assert ("leave", False) in engine.seen


@pytest.mark.parametrize("framework", ["fastapi.FastAPI", "starlette.applications.Starlette"])
def test_frameworks_accept_the_lifespan(engine, framework):
    """As on asyncio."""
    module, _, name = framework.rpartition(".")
    app = getattr(pytest.importorskip(module), name)(lifespan=lifespan)
    trio.run(live, app, engine, (STARTUP, SHUTDOWN))
    assert engine.seen == [("join", None), COMPLETE["type"], ("leave", False), "lifespan.shutdown.complete"]
