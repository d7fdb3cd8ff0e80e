"""Valid handlers, and how they are called."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from heliograph._core.signals.handlers import adapt, describe
from heliograph.exceptions import SignalTypeError


class Shop:
    """Methods and callable objects."""

    def numbered(self, num: int) -> Any:
        return ("numbered", num)

    def bare(self) -> Any:
        return "bare"

    @classmethod
    def of_class(cls, num: int) -> Any:
        return ("of_class", num)

    @staticmethod
    def static() -> Any:
        return "static"

    def __call__(self, num: int) -> Any:
        return ("called", num)


class Bare:
    """A callable object without arguments."""

    def __call__(self) -> Any:
        return "called bare"


class Made:
    """A class as a handler. The instance is discarded."""

    def __init__(self, num: int) -> None:
        self.num = num

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Made) and other.num == self.num

    __hash__ = None  # type: ignore[assignment]


def with_number(num: int) -> Any:
    return num


def without() -> Any:
    return "nothing"


def optional(num: int | None = None) -> Any:
    return num


def starred(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def keyword_with_default(num: int, *, loud: bool = False) -> Any:
    return num, loud


def only_keyword_with_default(*, loud: bool = False) -> Any:
    return loud


def only_keywords(**kwargs: Any) -> Any:
    return kwargs


def two(first: Any, second: Any) -> Any:
    return first, second


def needs_keyword(num: int, *, loud: bool) -> Any:
    return num, loud


def only_needs_keyword(*, loud: bool) -> Any:
    return loud


def decorated(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        return func(*args)

    return wrapper


CALLED: list[tuple[Callable[..., Any], Any]] = [
    (with_number, 7),
    (without, "nothing"),
    (optional, 7),
    (starred, ((7,), {})),
    (keyword_with_default, (7, False)),
    (only_keyword_with_default, False),
    (only_keywords, {}),
    (lambda num: num + 1, 8),
    (lambda: "lambda", "lambda"),
    (functools.partial(two, "first"), ("first", 7)),
    (functools.partial(two, "first", "second"), ("first", "second")),
    (functools.partial(two, second="second"), (7, "second")),
    (functools.partial(needs_keyword, loud=True), (7, True)),
    (Shop().numbered, ("numbered", 7)),
    (Shop().bare, "bare"),
    (Shop.of_class, ("of_class", 7)),
    (Shop.static, "static"),
    (Shop(), ("called", 7)),
    (Bare(), "called bare"),
    (Made, Made(7)),
    (bin, "0b111"),
    (str, "7"),
    ([].__len__, 0),
    (decorated(with_number), 7),
    (decorated(without), "nothing"),
]


@pytest.mark.parametrize(
    ("func", "expected"), CALLED, ids=lambda value: describe(value).partition(" at 0x")[0] if callable(value) else None
)
def test_handler_gets_the_number_or_nothing(func: Callable[..., Any], expected: Any) -> None:
    """It gets the number if it accepts an argument, else nothing."""
    assert adapt(func)(7) == expected


@pytest.mark.parametrize("func", [two, needs_keyword, only_needs_keyword, lambda _a, _b: None, Shop.numbered])
def test_handler_with_more_arguments_is_rejected(func: Callable[..., Any]) -> None:
    """The message shows its signature."""
    with pytest.raises(SignalTypeError, match="takes the number of the signal or nothing") as caught:
        adapt(func)
    assert describe(func) in str(caught.value)
    assert caught.value.value is func


@pytest.mark.parametrize("func", [None, 7, "print", [], object(), Ellipsis, NotImplemented])
def test_handler_that_is_not_callable_is_rejected(func: Any) -> None:
    """At registration, not at the first signal."""
    with pytest.raises(SignalTypeError, match=r"invalid signal handler: .*Pass a callable"):
        adapt(func)


def test_signature_is_inspected_once() -> None:
    """Later changes have no effect."""

    looked: list[object] = []

    class Watched:
        @property
        def __signature__(self) -> inspect.Signature:
            looked.append(self)
            return inspect.signature(without)

        def __call__(self) -> Any:
            return "called"

    adapted = adapt(Watched())
    before = len(looked)
    assert [adapted(7), adapted(8)] == ["called", "called"]
    assert len(looked) == before > 0


def test_describe_returns_module_and_name() -> None:
    """A callable without a name is described by its repr."""
    assert describe(two).endswith("test_handlers.two")
    assert describe(Shop.bare).endswith("test_handlers.Shop.bare")
    partial = functools.partial(two, 1)
    assert describe(partial) == repr(partial)
