"""Values that are made often: type checkers treat them as frozen, and they cost a tenth of a frozen dataclass.

A frozen dataclass sets each field through `object.__setattr__`, which takes 4 microseconds for 13 fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[_T]) -> type[_T]:
    """Make a class a dataclass with slots and a hash, whose values are never changed."""
    made: type[_T] = dataclass(slots=True, unsafe_hash=True)(cls)
    return made
