"""Headers of a task: texts that travel with it, such as the context of a trace. They are a key of its overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from heliograph._core.tasks.values import NewTask

_KEY = "headers"


def with_headers(task: NewTask, headers: Mapping[str, str]) -> NewTask:
    """Return the task with these headers."""
    if not headers:
        return task
    overrides: dict[str, Any] = msgspec.json.decode(task.overrides) if task.overrides else {}
    return replace(task, overrides=msgspec.json.encode({**overrides, _KEY: dict(headers)}))


def headers_in(overrides: bytes) -> dict[str, str]:
    """Return the headers of a task. Those that are no texts are left out."""
    found: Any = msgspec.json.decode(overrides).get(_KEY) if overrides else None
    items: list[tuple[Any, Any]] = list(found.items()) if isinstance(found, dict) else []  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    return {name: value for name, value in items if isinstance(value, str)}
