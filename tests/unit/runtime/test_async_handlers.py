"""What a handler's call returns decides: awaitables run to their end, generators are refused."""

import asyncio
import functools
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from heliograph import Mule, Signal, engines, get_last_received, uwsgi
from heliograph.engines.inline import InlineEngine
from heliograph.exceptions import SignalTypeError
from heliograph.runtime import async_handlers
from heliograph.runtime.scheduling import register_timer

pytestmark = pytest.mark.usefixtures("heliograph_engine")


def traced(func: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate as tracing libraries do that know plain functions only."""

    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        return func(*args)

    return wrapper


class Job:
    """An object whose `__call__` is `async def`."""

    def __init__(self, ran: list[object]) -> None:
        self.ran = ran

    async def __call__(self) -> None:
        await asyncio.sleep(0)
        self.ran.append(get_last_received())


class Awaitable:
    """An awaitable that is no coroutine."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __await__(self) -> Generator[Any, None, None]:
        return self.job().__await__()


async def of_nested(job: Job) -> object:
    return job()


@pytest.mark.parametrize(
    "make",
    [
        lambda job: traced(job.__call__),
        lambda job: job,
        lambda job: lambda: job(),  # noqa: PLW0108
        lambda job: lambda: Awaitable(job),
        lambda job: functools.partial(of_nested, job),
    ],
    ids=["decorated", "object", "lambda", "awaitable", "nested"],
)
def test_awaitable_runs_to_its_end_whatever_made_it(make: Callable[[Job], Callable[..., Any]]) -> None:
    """And `get_last_received` names the signal in it."""
    ran: list[object] = []
    Signal(99).register_handler("mule1")(make(Job(ran)))
    Signal(99).send()
    assert ran == [Signal(99)]


def gen() -> Iterator[None]:
    yield


async def agen() -> Any:
    yield


class GeneratorObject:
    """Its `__call__` is a generator function."""

    def __call__(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize("func", [gen, agen, GeneratorObject(), functools.partial(gen)])
def test_generator_function_is_refused_as_handler_hook_and_checker(func: Callable[..., Any]) -> None:
    """None of its code would run."""
    with pytest.raises(SignalTypeError, match="is a generator function"):
        Signal(99).register_handler("mule1")(func)
    with pytest.raises(SignalTypeError, match="is a generator function"):
        uwsgi.postfork_hooks.add()(func)
    with pytest.raises(SignalTypeError, match="invalid checker"):
        register_timer(1, checker=func)
    assert not Signal(99).registered


@pytest.mark.parametrize("func", [gen, agen])
def test_run_fails_if_the_call_returns_a_generator(heliograph_engine: InlineEngine, func: Callable[..., Any]) -> None:
    """Registration cannot see it."""
    Signal(99).register_handler("mule1")(lambda: func())  # noqa: PLW0108
    Signal(99).send()
    [failed] = heliograph_engine.take_failures()
    assert isinstance(failed.failure, SignalTypeError)


def test_async_post_fork_hook_is_awaited() -> None:
    """In each process, and before the next hook."""
    ran: list[object] = []

    @uwsgi.postfork_hooks.add()
    async def hook() -> None:
        await asyncio.sleep(0)
        ran.append(Mule.get_current_id())

    assert ran == [0, 0, 1, 2, 0]


def test_checker_that_visibly_returns_an_awaitable_is_refused() -> None:
    """Its coroutine would always be true."""
    with pytest.raises(SignalTypeError, match="invalid checker"):
        register_timer(1, checker=Job([]))


def test_run_fails_if_the_checker_returns_an_awaitable(heliograph_engine: InlineEngine) -> None:
    """The handler does not run, and nothing is reported as never awaited."""
    job, ran = Job([]), list[object]()

    @register_timer(1, checker=lambda: job(), target="mule1")  # noqa: PLW0108
    def tick() -> None:
        ran.append("ran")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        heliograph_engine.clock.sleep(1)
    [failed] = heliograph_engine.take_failures()
    assert isinstance(failed.failure, SignalTypeError)
    assert ran == []


def test_async_handler_runs_within_a_coroutine(heliograph_engine: InlineEngine) -> None:
    """`send` returns when it has run, as the process of its target."""
    ran: list[object] = []

    @Signal(99).register_handler("mule2")
    async def slow() -> None:
        await asyncio.sleep(0)
        ran.append((str(heliograph_engine.identity), get_last_received(), Mule.get_current_id()))

    async def test() -> None:
        Signal(99).send()
        assert ran == [("mule2", Signal(99), 2)]

    asyncio.run(test())
    assert len(ran) == 1


def test_failure_within_a_coroutine_is_a_failure(heliograph_engine: InlineEngine) -> None:
    """Also a cancellation."""

    @Signal(99).register_handler("mule1")
    async def broken(num: int) -> None:
        raise [LookupError, asyncio.CancelledError][sends.pop()]

    async def test() -> None:
        Signal(99).send()
        Signal(99).send()

    sends = [0, 1]
    asyncio.run(test())
    failures = [type(failed.failure) for failed in heliograph_engine.take_failures()]
    assert failures == [CancelledError, LookupError]


@pytest.mark.asyncio
async def test_async_handler_runs_in_a_coroutine_test(heliograph_engine: InlineEngine) -> None:
    """With pytest-asyncio the fixture and `send` work as in a plain test."""
    ran: list[object] = []

    @Signal(99).register_handler("mule2")
    async def slow() -> None:
        await asyncio.sleep(0.001)
        ran.append(str(heliograph_engine.identity))

    Signal(99).send()
    assert ran == ["mule2"]


class LoopEngine(InlineEngine):
    """An engine with a web server that has an event loop."""

    web_loop: Any = None

    @property
    def loop(self) -> Any:
        return self.web_loop


@pytest.fixture
def web_loop() -> Generator[asyncio.AbstractEventLoop]:
    """Run an event loop in another thread, with a task in it as a web server has."""
    ready, stop = threading.Event(), asyncio.Event()
    engine = LoopEngine()

    async def serve() -> None:
        engine.web_loop = asyncio.get_running_loop()
        ready.set()
        await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait()
    with engines.using(engine):
        yield engine.web_loop
    engine.web_loop.call_soon_threadsafe(stop.set)
    thread.join()


@pytest.mark.usefixtures("web_loop")
def test_handler_that_ends_as_the_poll_times_out_has_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeout of the poll is not an exception of the handler."""
    monkeypatch.setattr(async_handlers, "_POLL", 0.01)

    done = Future.done
    result = Future.result

    def late_result(self: Any, timeout: float | None = None) -> Any:
        try:
            return result(self, timeout)
        except TimeoutError:
            while not done(self):  # the handler ends between the timeout and the look at `done()`
                time.sleep(0.005)
            raise

    monkeypatch.setattr(Future, "result", late_result)
    ran: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(0.05)
        ran.append("ran")

    async_handlers.finish(slow(), 1)
    assert ran == ["ran"]


@pytest.mark.usefixtures("web_loop")
def test_timeout_error_of_an_async_handler_is_its_failure() -> None:
    """The error reaches the caller, whether the poll has timed out before or not."""

    async def slow() -> None:
        raise TimeoutError("of the handler")

    with pytest.raises(TimeoutError, match="of the handler"):
        async_handlers.finish(slow(), 1)


@pytest.mark.usefixtures("web_loop")
def test_cancelled_handler_does_not_delay_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver does not wait for the loop to end, since only this handler was cancelled."""
    monkeypatch.setattr(async_handlers, "_POLL", 30.0)

    async def cancelled() -> None:
        raise asyncio.CancelledError

    began = time.monotonic()
    with pytest.raises(CancelledError):
        async_handlers.finish(cancelled(), 1)
    assert time.monotonic() - began < 10
