"""Values of options in a configuration file: each has the natural type of TOML."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from typing import Any, cast

from heliograph.settings.option_row import Option
from heliograph.settings.option_types import (
    CommandTable,
    Duration,
    Farm,
    Flag,
    Integer,
    Seconds,
    SignalNumbers,
    Size,
    Words,
    WorkerCount,
)
from heliograph.settings.page_options import HostNames
from heliograph.settings.path_types import ExistingDirectory, FilePattern

_WANTED: dict[type, tuple[tuple[type, ...], str]] = {
    Integer: ((int,), "a whole number"),
    Size: ((int, str), 'a number of bytes, or a text such as "200M"'),
    Duration: ((int, float, str), 'a number of seconds, or a text such as "12h"'),
    Seconds: ((int, float), "a number of seconds"),
    Flag: ((bool,), "true or false"),
    WorkerCount: ((int, str, list), 'a whole number, or a range such as "2..16"'),
    SignalNumbers: ((list,), "a list of numbers such as [17, 18]"),
    Farm: ((list, dict), 'a list such as ["crunchers=1,2"], or a table such as {crunchers = [1, 2]}'),
    CommandTable: ((dict,), 'a table such as {bot = "python bot.py"}'),
    HostNames: ((list, str), 'a list of names such as ["status.example.org"], or a text'),
    ExistingDirectory: ((list,), 'a list such as ["shop", "lib"]'),
    FilePattern: ((list,), 'a list such as ["*.html"]'),
    Words: ((list, str), 'a list of words such as ["gunicorn", "-w", "4", "shop:app"], or a text'),
}
"""Type of an option -> types of Python that its values have, and their description. All others are texts."""

_TEXT = ((str,), "a text in quotes")

_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
    datetime: "a time",
    date: "a date",
    time: "a time",
}


def read_value(row: Option, value: object) -> Any:
    """Return the value of an option that stands in a file. Raises: ValueError: it has the wrong type or is invalid."""
    types, wanted = _wanted(row)
    if type(value) not in types:  # `isinstance` would take true for a number
        raise ValueError(f"it is {kind_of(value)}. Use {wanted}")
    if value == "":
        raise ValueError("it is empty. Leave the key out")
    if row.repeatable:
        return _several(row, value, wanted)
    is_text = isinstance(value, str) and not isinstance(row.type, WorkerCount)
    return row.type.from_text(cast("str", value)) if is_text else row.type.from_value(value)


def description(row: Option) -> str:
    """Return a description of the values that an option has in a file."""
    return _wanted(row)[1]


def kind_of(value: object) -> str:
    """Return what kind of value it is, for people."""
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def shown(value: object) -> str:
    """Return a value of a file for people, nearly as TOML has it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _wanted(row: Option) -> tuple[tuple[type, ...], str]:
    return _WANTED.get(type(row.type), _TEXT)


def _several(row: Option, value: object, wanted: str) -> Any:
    """Return the values of a repeatable option: a list of texts, or a table of names and lists of numbers."""
    if isinstance(value, dict):
        numbers = [number for part in cast("dict[str, object]", value).values() for number in _items(part)]
        if not all(type(number) is int for number in numbers):
            raise ValueError(f"not all of its values are lists of numbers. Use {wanted}")
        return row.type.from_value(cast("object", value))
    items = _items(value)
    if not all(isinstance(item, str) for item in items):
        raise ValueError(f"not all of its items are texts. Use {wanted}")
    return tuple(row.type.from_text(str(item)) for item in items)


def _items(value: object) -> list[object]:
    """Return the items of a list, or anything else as one item."""
    return cast("list[object]", value) if isinstance(value, list) else [None]
