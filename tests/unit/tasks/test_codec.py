# ruff: noqa: ARG005
"""Arguments of tasks: checked when enqueued, kept as JSON, and rebuilt."""

import dataclasses
import enum
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.exceptions import TaskArgumentError
from heliograph.tasks.codec import ArgumentCodec


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Item:
    name: str
    price: Decimal | None = None
    weight: float | None = None


@dataclasses.dataclass(eq=False)
class Incomparable:
    value: float | None


class Row(TypedDict):
    key: str


class Point(NamedTuple):
    x: int
    y: int


class Record(msgspec.Struct):
    when: datetime


class Custom:
    """A class that msgspec does not know."""


class Biting(dict):
    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


def codec(func):
    return ArgumentCodec(func, "shop:f", takes_context=False)


def typed(annotation):
    def func(value):
        """A function with one parameter of the type."""

    func.__annotations__["value"] = annotation
    return codec(func)


def untyped():
    return codec(lambda value: None)


def there_and_back(one, *args, **kwargs):
    return one.decode(one.encode(args, kwargs))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (datetime, datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
        (datetime, datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
        (datetime, datetime(2026, 1, 2, 3)),  # noqa: DTZ001 - an argument may be a time without a zone
        (date, date(2026, 1, 2)),
        (timedelta, timedelta(days=-1, microseconds=1)),
        (UUID, UUID(int=5)),
        (Decimal, Decimal("1.10")),
        (bytes, b"\x00\xff"),
        (Colour, Colour.RED),
        (Level, Level.LOW),
        (Item, Item("a", Decimal("0.1"))),
        (list[Item], [Item("a"), Item("b")]),
        (Row, {"key": "a"}),
        (Point, Point(1, 2)),
        (Record, Record(datetime(2026, 1, 2, tzinfo=UTC))),
        (dict[int, set[str]], {1: {"a"}}),
        (tuple[int, ...], (1, 2)),
        (Literal["a", "b"], "a"),
        (int | None, None),
        (float, 1.5),
        (float, 1),
        (int, 2**63),
        (int, -(2**200)),
        (str, "\x00 ü 😀"),
        (Any, {"a": [1, 2.5, None, True, "x"]}),
        (object, [1]),
        (Incomparable, Incomparable(1.0)),
    ],
)
def test_a_value_comes_back_as_it_was(annotation, value):
    """By the annotation of its parameter, by position and by name."""
    one = typed(annotation)
    for args, kwargs in (there_and_back(one, value), there_and_back(one, value=value)):
        (back,) = (*args, *kwargs.values())
        assert type(back) is type(value) or annotation is float
        assert back == value or back.value == value.value


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (untyped, float("nan")),
        (untyped, float("inf")),
        (untyped, {"deep": [{"er": float("nan")}]}),
        (untyped, "\ud800"),
        (untyped, {"\udfff": 1}),
        pytest.param(untyped, 10**5000, id="an over-long integer"),
        (untyped, datetime(2026, 1, 1, tzinfo=UTC)),
        (untyped, UUID(int=1)),
        (untyped, Decimal(1)),
        (untyped, b"bytes"),
        (untyped, {1: "key that is no text"}),
        (untyped, {1, 2}),
        (untyped, Item("a")),
        (untyped, object()),
        (untyped, Custom()),
        (untyped, lambda: None),
        (untyped, Colour.RED),
        (lambda: typed(float | None), float("nan")),
        (lambda: typed(list[float | None]), [1.0, float("-inf")]),
        (lambda: typed(Item), Item("a", weight=float("nan"))),
        (lambda: typed(Incomparable), Incomparable(float("nan"))),
        (lambda: typed(int), "5"),
        (lambda: typed(int), True),
        (lambda: typed(int), 1.5),
        (lambda: typed(str), 5),
        (lambda: typed(str), None),
        (lambda: typed(datetime), "yesterday"),
        (lambda: typed(Literal["a"]), "b"),
        (lambda: typed(Custom), Custom()),
        (lambda: typed("Missing"), 1),
        (lambda: typed(list[int] | tuple[int, str]), [1]),
    ],
)
def test_a_value_that_would_not_come_back_is_refused(make, value):
    """The error is a TypeError, and names the argument and the task."""
    for args, kwargs in (((value,), {}), ((), {"value": value})):
        with pytest.raises(TaskArgumentError, match=r"argument 'value' of shop:f") as caught:
            make().encode(args, kwargs)
        assert isinstance(caught.value, TypeError)
        assert caught.value.argument == "value"
        assert len(str(caught.value)) < 1000


def test_a_value_within_itself_is_refused():
    """And one that is nested too deeply."""
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (cyclic, deep):
        with pytest.raises(TaskArgumentError, match="argument 'value'"):
            untyped().encode((value,), {})


def test_a_tuple_may_come_back_as_a_list():
    """An argument without an annotation has the types of JSON."""
    assert there_and_back(untyped(), (1, (2,))) == (([1, [2]],), {})


def test_an_object_that_cannot_be_compared_is_compared_by_its_parts():
    """Its `__eq__` raises."""
    assert there_and_back(untyped(), Biting(a=1)) == (({"a": 1},), {})


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("hour", [datetime(2026, 10, 25, 2, 30), datetime(2026, 3, 29, 2, 30)])  # noqa: DTZ001
def test_a_time_at_a_clock_change_is_the_same_instant(hour, fold):
    """Also a repeated time, and one that the clocks skip. The name of the zone is lost, its offset is not."""
    value = hour.replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)
    ((back,), _) = there_and_back(typed(datetime), value)
    assert back.timestamp() == value.timestamp()
    assert back.utcoffset() == value.utcoffset()


@dataclasses.dataclass
class Appointment:
    at: datetime
    follow_ups: list["Appointment"] | None = None


FOLDED = datetime(2020, 10, 25, 2, 30, fold=1)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (datetime, FOLDED),
        (datetime | None, FOLDED),
        (list[dict[str, datetime]], [{"a": FOLDED}]),
        (dict[datetime, int], {FOLDED: 1}),
        (Appointment, Appointment(FOLDED.replace(fold=0), [Appointment(FOLDED)])),
        (time, time(2, 30, fold=1)),
    ],
)
def test_a_time_without_a_zone_in_a_repeated_hour_is_refused(kind, value):
    """JSON does not say which one it is, and the two are equal in Python."""
    with pytest.raises(TaskArgumentError, match=r"fold=1, which JSON cannot express\. Pass a time with a time zone"):
        typed(kind).encode((value,), {})


def test_a_time_without_a_zone_comes_back():
    value = [Appointment(FOLDED.replace(fold=0), []), Appointment(FOLDED.replace(tzinfo=UTC))]
    assert there_and_back(typed(list[Appointment]), value) == ((value,), {})


def test_each_attempt_has_its_own_objects():
    """An attempt that changes its arguments does not change those of the next one."""
    one = untyped()
    data = one.encode(([1],), {})
    one.decode(data)[0][0].append(2)
    assert one.decode(data) == (([1],), {})


def takes_all_kinds(first, /, second: int, *rest: float, only: str = "x", **others: bytes):
    """A function with every kind of parameter."""


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, 2), {}),
        ((1,), {"second": 2}),
        ((1, 2, 3.5, 4.5), {"only": "y", "a": b"1", "b-c": b"2"}),
        ((1, 2), {"first": b"a name of the others"}),
    ],
)
def test_every_kind_of_parameter(args, kwargs):
    """By position, by name, and those of `*rest` and `**others`, each with its annotation."""
    assert there_and_back(codec(takes_all_kinds), *args, **kwargs) == (args, kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "argument"),
    [
        ((), {}, "first"),
        ((1,), {}, "second"),
        ((1, 2), {"second": 3}, "second"),
        ((1, "2"), {}, "second"),
        ((1, 2, "x"), {}, "rest"),
        ((1, 2), {"other": 5}, "others"),
    ],
)
def test_a_call_that_the_function_does_not_take(args, kwargs, argument):
    """Missing, twice or of another type. The error names the parameter."""
    with pytest.raises(TaskArgumentError) as caught:
        codec(takes_all_kinds).encode(args, kwargs)
    assert caught.value.argument == argument
    assert argument in str(caught.value)


def test_too_many_arguments():
    """They have no name, so the error shows the signature."""
    with pytest.raises(TaskArgumentError, match=r"too many positional arguments.*\(value\)"):
        untyped().encode((1, 2), {})


def test_arguments_of_an_older_version_of_the_function():
    """A signature that has changed since. The error names the argument."""
    data = untyped().encode((1,), {})
    with pytest.raises(TaskArgumentError, match="argument 'value'"):
        typed(str).decode(data)
    with pytest.raises(TaskArgumentError, match="missing a required argument: 'more'"):
        codec(lambda value, more: None).decode(data)
    with pytest.raises(TaskArgumentError, match="unexpected keyword argument 'value'"):
        codec(lambda other=1: None).decode(untyped().encode((), {"value": 1}))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"[1,2]", b"[[],[]]", b"[[], {}", b"[[],{}]x"])
def test_arguments_that_are_no_json_of_the_form(data):
    """The `enqueue` command and other programs write rows, too."""
    with pytest.raises(TaskArgumentError, match="JSON"):
        codec(lambda: None).decode(data)


def test_a_parameter_with_the_default_none_may_be_none():
    """As type checkers had it for a long time."""

    def func(value: int = None):  # noqa: RUF013
        """A function with such a parameter."""

    assert there_and_back(codec(func), None) == ((None,), {})


def test_the_size_is_limited():
    """The error names the largest argument, and the limit."""
    one = codec(lambda small, large: None)
    assert len(one.encode(("a", "b" * 87), {}, 100)) == 100
    with pytest.raises(TaskArgumentError, match=r"argument 'large' of shop:f: the arguments take 101 bytes, of 100"):
        one.encode(("a", "b" * 88), {}, 100)
    with pytest.raises(TaskArgumentError, match=r"of 1048576 at most"):
        one.encode((1, "x" * 2**20), {})


def test_many_shapes_do_not_fill_the_memory():
    """A function with `**options` may be called with any names."""
    one = codec(lambda **options: None)
    for number in range(1000):
        one.encode((), {f"name{number}": 1})
    assert len(one._shapes) <= 256


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_value_comes_back_equal_or_is_refused(value):
    """There is nothing between the two: NaN, for example, does not come back as None."""
    one = untyped()
    try:
        data = one.encode((value,), {})
    except TaskArgumentError:
        assert "nan" in repr(value) or "inf" in repr(value) or "\\ud" in repr(value)
    else:
        assert one.decode(data) == ((value,), {})


def test_the_name_of_the_context_is_not_for_callers():
    """`**options` would take it, and each attempt would fail."""

    def named(context, *args, **options): ...

    def positional(context, /, **options): ...

    codec = ArgumentCodec(named, "shop:named", takes_context=True)
    with pytest.raises(TaskArgumentError, match="'context' is not for callers") as caught:
        codec.encode((1,), {"context": 2})
    assert caught.value.argument == "context"
    with pytest.raises(TaskArgumentError):
        codec.decode(b'[[],{"context":2}]')
    codec = ArgumentCodec(positional, "shop:positional", takes_context=True)
    assert codec.decode(codec.encode((), {"context": 2})) == ((), {"context": 2})
    codec = ArgumentCodec(named, "shop:named", takes_context=False)
    assert codec.decode(codec.encode((), {"context": 2})) == ((), {"context": 2})
