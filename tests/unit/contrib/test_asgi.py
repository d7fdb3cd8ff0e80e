"""The middleware and the lifespan for ASGI applications."""

import asyncio
import os

import pytest

from heliograph.contrib.asgi import Middleware, lifespan

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
COMPLETE, FAILED = {"type": "lifespan.startup.complete"}, {"type": "lifespan.startup.failed"}


class Application:
    """Records what it receives, and answers the startup as configured."""

    def __init__(self, engine, answer=COMPLETE):
        self.engine, self.answer = engine, answer

    async def __call__(self, scope, receive, send):
        self.engine.seen.append(scope["type"])
        if scope["type"] == "lifespan":
            assert await receive() is STARTUP
            await send(self.answer)
            self.engine.seen.append((await receive())["type"])
        else:
            await send({"type": "http.response.start", "receive": await receive()})


async def live(app, engine, messages=(STARTUP, SHUTDOWN)):
    """Do what a server does with an application from start to end."""
    left = list(messages)

    async def receive():
        return left.pop(0)

    async def send(message):
        engine.seen.append(message["type"])

    await app({"type": "lifespan"}, receive, send)


async def ask(app, engine, kind="http"):
    """Send one request."""

    async def receive():
        return "a body"

    async def send(message):
        engine.seen.append(message)

    await app({"type": kind}, receive, send)


def test_middleware_joins_after_startup_and_leaves_before_shutdown(engine):
    """It joins with the running loop, and leaves in another thread."""

    async def main():
        await live(Middleware(Application(engine)), engine)
        return asyncio.get_running_loop()

    loop = asyncio.run(main())
    assert engine.seen == [
        "lifespan",
        "lifespan.startup.complete",
        ("join", loop),
        ("leave", False),
        "lifespan.shutdown",
    ]


def test_failed_startup_does_not_join(engine):
    asyncio.run(live(Middleware(Application(engine, FAILED)), engine))
    assert engine.joins == 0


def test_loop_runs_while_the_middleware_leaves(engine):
    """Handlers on the loop can finish."""
    engine.may_leave.clear()

    async def main():
        lives = asyncio.create_task(live(Middleware(Application(engine)), engine))
        assert await asyncio.to_thread(engine.leaving.wait, 10)
        assert not lives.done()
        engine.may_leave.set()
        await asyncio.wait_for(lives, 10)

    asyncio.run(main())
    assert ("leave", False) in engine.seen


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_middleware_joins_at_the_first_request_without_lifespan(engine, kind):
    """Only once. Requests and answers pass unchanged."""

    async def main():
        app = Middleware(Application(engine))
        await ask(app, engine, kind)
        await ask(app, engine, kind)
        return asyncio.get_running_loop()

    loop = asyncio.run(main())
    answer = {"type": "http.response.start", "receive": "a body"}
    assert engine.seen == [("join", loop, "at a request"), kind, answer, kind, answer]


def test_request_after_startup_does_not_join_again(engine):
    async def main():
        app = Middleware(Application(engine))
        await live(app, engine)
        await ask(app, engine)

    asyncio.run(main())
    assert engine.joins == 1


def test_fork_joins_again(engine, monkeypatch):
    async def main():
        app = Middleware(Application(engine))
        await ask(app, engine)
        monkeypatch.setattr(os, "getpid", lambda: 4711)
        await ask(app, engine)

    asyncio.run(main())
    assert engine.joins == 2


def test_application_without_lifespan_raises_its_own_exception(engine):
    """The server continues without lifespan, and requests join."""
    error = ValueError("unknown scope")

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise error

    async def main():
        wrapped = Middleware(app)
        with pytest.raises(ValueError, match="unknown scope") as raised:
            await live(wrapped, engine)
        assert raised.value is error
        assert engine.seen == []
        await ask(wrapped, engine)

    asyncio.run(main())
    assert engine.joins == 1


def test_lifespan_joins_and_leaves(engine):
    """It joins with the running loop, and leaves in another thread."""

    async def main():
        async with lifespan(object()):
            engine.seen.append("serving")
        return asyncio.get_running_loop()

    loop = asyncio.run(main())
    assert engine.seen == [("join", loop), "serving", ("leave", False)]


def test_lifespan_leaves_after_a_failure(engine):
    async def main():
        async with lifespan(object()):
            raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert engine.seen[-1] == ("leave", False)


@pytest.mark.parametrize("framework", ["fastapi.FastAPI", "starlette.applications.Starlette"])
def test_frameworks_accept_the_lifespan(engine, framework):
    """As it is, by name."""
    app = pytest.importorskip(framework.rpartition(".")[0]).__dict__[framework.rpartition(".")[2]](lifespan=lifespan)
    asyncio.run(live(app, engine))
    assert [event if isinstance(event, str) else event[0] for event in engine.seen] == [
        "join",
        "lifespan.startup.complete",
        "leave",
        "lifespan.shutdown.complete",
    ]


def test_lifespan_and_middleware_do_nothing_on_a_loop_that_is_not_asyncio():
    """As under trio: no asyncio loop runs, and there is no server."""
    from heliograph.contrib.asgi import Middleware, lifespan

    passed = []

    async def app(_scope, _receive, _send):
        passed.append("request")

    async def serve():
        await Middleware(app)({"type": "http"}, None, None)
        async with lifespan(app):
            passed.append("inside")

    with pytest.raises(StopIteration):
        serve().send(None)  # drives the coroutine without asyncio
    assert passed == ["request", "inside"]
