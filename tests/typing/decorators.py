"""The decorators keep the types of handlers. mypy and pyright check this file. It does not run."""

from collections.abc import Callable
from functools import partial
from typing import Any, assert_type

from heliograph import REGISTERED_SIGNALS, Farm, Mule, Signal, SignalDescription, get_available_num, get_last_received
from heliograph import uwsgi as platform

signal = Signal()

# By number or by name; not by position.

assert_type(Signal(name="refresh-prices").name, str)
Signal("refresh-prices")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Signal(name=17)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Signal(17).name = "refresh-prices"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# A function comes back as what it was: its parameters, what it returns, and whether it is asynchronous.


@signal
def at_once(num: int) -> str:
    return str(num)


@signal.register_handler
def bare(num: int) -> str:
    return str(num)


@signal.register_handler()
def called() -> bytes:
    return b""


@signal.register_handler("mule1", lambda registered: registered.send())
def positional(num: int = 5) -> None: ...


@signal.register_handler(target=Farm("crunchers"), callback=Signal.send)
async def asynchronous(num: int) -> float:
    return num / 2


@platform.postfork_hooks.add()
def hook() -> list[int]:
    return []


assert_type(at_once(1), str)
assert_type(bare(1), str)
assert_type(called(), bytes)
assert_type(positional(), None)
assert_type(hook(), list[int])
assert_type(signal(print).__name__, str)
assert_type(signal(partial(at_once, 3)), partial[str])


async def awaited() -> None:
    """Show that an async handler can still be awaited."""
    assert_type(await asynchronous(1), float)


at_once("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
called(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


class Handler:
    """Show that methods keep their types."""

    @signal.register_handler("workers")
    @staticmethod
    def static(num: int) -> int:
        return num

    def method(self, num: int) -> int:
        return num


assert_type(Handler.static(1), int)
assert_type(signal(Handler().method)(1), int)


# An object that cannot be called is no handler.

signal(5)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
signal.register_handler("mule1")("handler")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
signal.register_handler(callback=lambda: None)  # type: ignore[misc, arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


# Types of the results.

assert_type(signal.num, int)
assert_type(int(signal), int)
assert_type([0, 1][signal], int)
assert_type(signal.registered, bool)
assert_type(get_available_num(), int)
assert_type(get_last_received(), Signal)
assert_type(Signal.wait_any(timeout=1), Signal)
assert_type(REGISTERED_SIGNALS, dict[int, SignalDescription])
assert_type(REGISTERED_SIGNALS[1].func, Callable[..., Any])
assert_type(REGISTERED_SIGNALS[1].target, str)
assert_type(Mule.get_current(), Mule | None)
assert_type(Farm.get_farms(), list[Farm])
assert_type(platform.worker_id, int)


# Numbers and times are numbers.

Signal("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Signal(1.0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
signal.send(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
signal.send(timeout=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
signal.wait(timeout=None)
signal.num + Signal(1)  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
