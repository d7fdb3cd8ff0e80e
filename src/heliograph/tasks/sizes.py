"""The limit for the arguments and for the return value of a task."""

from __future__ import annotations

import os
from functools import cache

from heliograph.ipc.state_directory import MAX_BYTES_ENV
from heliograph.models import DEFAULT_TASK_BYTES


@cache
def max_bytes() -> int:
    """Return the bytes that arguments, or a return value, may take as JSON (`--task-bytes`)."""
    text = os.environ.get(MAX_BYTES_ENV, "")
    return int(text) if text.isdecimal() else DEFAULT_TASK_BYTES
