"""The running attempt: its context and its progress."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from heliograph._core.tasks.values import Claim
from heliograph.tasks.annotations import parameter_type, signature_of
from heliograph.tasks.sameness import ENCODER

Report = Callable[[bytes], bool]
"""Keeps a progress. False: the attempt does not run any longer."""

_MAX_NUMBER = 2**63 - 1
MAX_PROGRESS_CHARACTERS = 1000
"""Characters of the text of a progress that are kept."""


class TaskContext:
    """The running attempt of a task. A function gets it as its first parameter if that is named `context`.

    A direct call of the function has a context with an empty `id`, and its progress goes nowhere.
    """

    __slots__ = ("_report", "attempt", "claim", "id", "name")

    def __init__(
        self, name: str, task_id: str = "", attempt: int = 1, report: Report | None = None, claim: Claim | None = None
    ) -> None:
        self.name = name
        """Module and name of the function."""
        self.id = task_id
        self.attempt = attempt
        """Number of this attempt, counted from 1."""
        self._report = report
        self.claim = claim
        """For tracing: what the store knows of this attempt. None in a direct call."""

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Tell people how far the task is: `done` of `total`, and a text.

        After the end of the attempt this does nothing.

        Raises:
            TypeError: A number or the text has another type.
            ValueError: A number is negative, infinite or NaN, or `done` is larger than `total`.
        """
        _check(done, total)
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"invalid text of a progress: {text!r}. Pass a str.")
        if self._report is not None:
            shown = text[:MAX_PROGRESS_CHARACTERS].encode("utf-8", "backslashreplace").decode()
            self._report(ENCODER.encode({"done": done, "total": total, "text": shown}))

    def __repr__(self) -> str:
        return f"TaskContext({self.name!r}, id={self.id!r}, attempt={self.attempt})"


def _check(done: object, total: object) -> None:
    """Check the numbers of a progress. Raises: TypeError, ValueError."""
    for number in (done, total):
        if number is None and number is total:
            continue
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TypeError(f"invalid progress: {number!r}. Pass numbers and a text.")
        if not 0 <= number <= _MAX_NUMBER:
            raise ValueError(f"invalid progress: {number!r:.100}. Pass numbers from 0 to {_MAX_NUMBER}.")
    if isinstance(total, int | float) and isinstance(done, int | float) and done > total:
        raise ValueError(f"invalid progress: {done!r} of {total!r}. Pass a larger total, or none.")


RUNNING: ContextVar[TaskContext | None] = ContextVar("heliograph_task", default=None)
"""The context of the attempt that runs in this thread or coroutine. None outside of tasks."""


def progress(done: float, total: float | None = None, text: str = "") -> None:
    """Tell people how far the running task is: `done` of `total`, and a text. Outside of a task this does nothing.

    Raises:
        TypeError: A number or the text has another type.
        ValueError: A number is negative, infinite or NaN, or `done` is larger than `total`.
    """
    context = RUNNING.get()
    if context is not None:
        context.progress(done, total, text)


def takes_context(func: Callable[..., Any]) -> bool:
    """Return True if the first parameter is `context`, without an annotation or annotated with `TaskContext`."""
    try:
        first = next(iter(signature_of(func).parameters.values()), None)
    except (TypeError, ValueError):
        return False
    if first is None or first.name != "context" or first.kind is first.KEYWORD_ONLY:
        return False
    if first.annotation is inspect.Parameter.empty:
        return True
    try:
        return parameter_type(func, first) is TaskContext
    except Exception:  # noqa: BLE001 - a type that is imported for type checkers only
        return "TaskContext" in str(first.annotation)
