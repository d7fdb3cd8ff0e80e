"""The encoder of tasks, and the comparison of a value with the one that comes back from JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime, time
from typing import Any, cast

import msgspec

ENCODER = msgspec.json.Encoder()


def same(value: object, back: object) -> bool:
    """Return True if `back`, which was decoded from the JSON of `value`, stands for the same value.

    A tuple may come back as a list. A datetime may come back with another name of the same time zone offset.
    """
    if _equal(value, back):
        return True
    mine: Any = value
    other: Any = back
    if isinstance(value, list | tuple) and isinstance(back, list | tuple):
        return _all_same(mine, other)
    if isinstance(value, dict) and isinstance(back, dict):
        return mine.keys() == other.keys() and all(same(mine[key], other[key]) for key in mine)
    if isinstance(value, datetime) and isinstance(back, datetime):
        return value.utcoffset() is not None and back.utcoffset() is not None and value.timestamp() == back.timestamp()
    return type(mine) is type(other) and not isinstance(value, float) and _same_parts(mine, other)


def _equal(value: object, back: object) -> bool:
    try:
        return bool(value == back)
    except Exception:  # noqa: BLE001 - some objects refuse to be compared. Their parts decide.
        return False


def _same_parts(value: object, back: object) -> bool:
    mine, other = tuple(_parts(value)), tuple(_parts(back))
    if mine or other:
        return _all_same(mine, other)
    return ENCODER.encode(value) == ENCODER.encode(back)


def has_nan(value: object) -> bool:
    """Return True if a value contains a float that JSON does not have: NaN or an infinity. JSON gets null for it."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(has_nan, cast("Any", value).values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(has_nan, cast("list[Any]", value)))
    return any(map(has_nan, _parts(value)))


def has_fold(value: object) -> bool:
    """Return True if a value contains a time without a zone that is the second of a repeated hour. JSON loses that."""
    if isinstance(value, datetime | time):
        return value.fold == 1 and value.utcoffset() is None
    if isinstance(value, dict):
        found: dict[Any, Any] = cast("Any", value)
        return any(map(has_fold, found)) or any(map(has_fold, found.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(has_fold, cast("list[Any]", value)))
    return any(map(has_fold, _parts(value)))


def _all_same(values: tuple[object, ...], others: tuple[object, ...]) -> bool:
    return len(values) == len(others) and all(map(same, values, others))


def _parts(value: object) -> Iterator[object]:
    """Yield the attributes of an object of a dataclass, a msgspec Struct or a class of attrs."""
    if is_dataclass(value):
        names: Any = (field.name for field in fields(value))
    else:
        attrs: Any = getattr(type(value), "__attrs_attrs__", ())
        names = getattr(type(value), "__struct_fields__", None) or (field.name for field in attrs)
    for name in names:
        yield getattr(value, name, None)
