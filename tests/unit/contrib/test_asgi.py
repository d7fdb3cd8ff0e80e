"""The middleware and the lifespan for ASGI applications."""

import asyncio
import os

import pytest

from heliograph.contrib.asgi import Middleware, lifespan

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
COMPLETE, FAILED = {"type": "lifespan.startup.complete"}, {"type": "lifespan.startup.failed"}


class Application:
    """Notes what it receives, and answers a startup as it is told."""

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
    """What a server does with an application from start to end."""
    left = list(messages)

    async def receive():
        return left.pop(0)

    async def send(message):
        engine.seen.append(message["type"])

    await app({"type": "lifespan"}, receive, send)


async def ask(app, engine, kind="http"):
    """One request."""

    async def receive():
        return "a body"

    async def send(message):
        engine.seen.append(message)

    await app({"type": kind}, receive, send)


def test_it_joins_after_the_startup_and_leaves_before_the_shutdown(engine):
    """With the running loop; and it leaves in a thread, which must not be the loop's."""

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


def test_an_application_that_does_not_start_does_not_join(engine):
    asyncio.run(live(Middleware(Application(engine, FAILED)), engine))
    assert engine.joins == 0


def test_the_loop_runs_while_it_leaves(engine):
    """So that a handler that runs on it can come to its end."""
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
def test_without_a_lifespan_it_joins_at_the_first_request(engine, kind):
    """And not again; requests and answers pass through."""

    async def main():
        app = Middleware(Application(engine))
        await ask(app, engine, kind)
        await ask(app, engine, kind)
        return asyncio.get_running_loop()

    loop = asyncio.run(main())
    answer = {"type": "http.response.start", "receive": "a body"}
    assert engine.seen == [("join", loop), kind, answer, kind, answer]


def test_a_request_after_the_startup_does_not_join_again(engine):
    async def main():
        app = Middleware(Application(engine))
        await live(app, engine)
        await ask(app, engine)

    asyncio.run(main())
    assert engine.joins == 1


def test_a_fork_joins_for_itself(engine, monkeypatch):
    async def main():
        app = Middleware(Application(engine))
        await ask(app, engine)
        monkeypatch.setattr(os, "getpid", lambda: 4711)
        await ask(app, engine)

    asyncio.run(main())
    assert engine.joins == 2


def test_an_application_without_lifespan_says_so_itself(engine):
    """The very exception reaches the server, which goes on without; requests join."""
    refusal = ValueError("unknown scope")

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise refusal

    async def main():
        wrapped = Middleware(app)
        with pytest.raises(ValueError, match="unknown scope") as raised:
            await live(wrapped, engine)
        assert raised.value is refusal
        assert engine.seen == []
        await ask(wrapped, engine)

    asyncio.run(main())
    assert engine.joins == 1


def test_the_lifespan_joins_and_leaves(engine):
    """Around the block, with the running loop; in a thread at the end."""

    async def main():
        async with lifespan(object()):
            engine.seen.append("serving")
        return asyncio.get_running_loop()

    loop = asyncio.run(main())
    assert engine.seen == [("join", loop), "serving", ("leave", False)]


def test_the_lifespan_leaves_after_a_failure(engine):
    async def main():
        async with lifespan(object()):
            raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert engine.seen[-1] == ("leave", False)


@pytest.mark.parametrize("framework", ["fastapi.FastAPI", "starlette.applications.Starlette"])
def test_frameworks_take_the_lifespan(engine, framework):
    """As it is, by name."""
    app = pytest.importorskip(framework.rpartition(".")[0]).__dict__[framework.rpartition(".")[2]](lifespan=lifespan)
    asyncio.run(live(app, engine))
    assert [event if isinstance(event, str) else event[0] for event in engine.seen] == [
        "join",
        "lifespan.startup.complete",
        "leave",
        "lifespan.shutdown.complete",
    ]
