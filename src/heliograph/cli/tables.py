"""Tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TEXTS = frozenset(
    {
        "target",
        "handler",
        "name",
        "trigger",
        "id",
        "status",
        "task",
        "note",
        "option",
        "value",
        "from",
        "process",
        "state",
        "runs",
    }
)
"""Columns that are aligned to the left."""


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table with a header."""
    lines = [list(columns), *([str(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in _TEXTS else cell.rjust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    )
