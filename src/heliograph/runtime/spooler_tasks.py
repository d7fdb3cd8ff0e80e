"""The processing of messages to the spooler, with the names of `uwsgiconf`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeGuard

from heliograph.runtime.platform import SpoolCode
from heliograph.runtime.task_calls import unpickled
from heliograph.tasks.context import TaskContext
from heliograph.tasks.retrying import Retry

_TYPED = "ucfg_"
"""A message that begins so goes to the class whose `type_id` follows."""

spooler_task_types: dict[str, type[SpoolerTask]] = {}
"""The subclasses of `SpoolerTask`, by their `type_id`."""


class TaskResult:
    """The result of a task of the spooler."""

    def __init__(self, result: Any = None, *, exception: Exception | None = None) -> None:
        self.result = result
        self.exception = exception


class ResultProcessed(TaskResult):
    """The task has ended."""


class ResultSkipped(TaskResult):
    """The task has ended without having done anything."""


class ResultRescheduled(TaskResult):
    """The task is to run again, when the period has passed (`Spooler.set_period`)."""


TypeTaskResult = TaskResult | SpoolCode | bool | None


class SpoolerTask:
    """A message to the spooler. Define a subclass with a `type_id` and `process` for each type of message."""

    mark_processed = ResultProcessed
    mark_skipped = ResultSkipped
    mark_rescheduled = ResultRescheduled

    __slots__ = ("message", "name", "payload")

    type_id: ClassVar[str] = ""

    def __init__(self, name: str, message: str, payload: Any) -> None:
        """`name` is the id of the task."""
        self.name = name
        self.message = message
        self.payload = payload

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        spooler_task_types[cls.type_id] = cls

    def process(self) -> TypeTaskResult:
        """Process the message.

        `ResultRescheduled`, `uwsgi.SPOOL_RETRY`, `uwsgi.SPOOL_IGNORE` and an exception let it run again. Everything
        else ends it.
        """
        return True

    @classmethod
    def build_message(
        cls,
        spooler: str | None = None,
        priority: int | None = None,
        postpone: datetime | timedelta | None = None,
        payload: Any = None,
    ) -> dict[str, Any]:
        """Return the arguments of `Spooler.send_message_raw` for a message of this type."""
        return {
            "message": f"{_TYPED}{cls.type_id}",
            "spooler": spooler,
            "priority": priority,
            "postpone": postpone,
            "payload": payload,
        }


def process_message(context: TaskContext, message: str, payload: Any = None, pickled: str | None = None) -> None:
    """Process a message. It is the function of a task.

    Raises:
        LookupError: The application has no class for this type of message.
        Retry: The task was rescheduled.
    """
    kind = SpoolerTask
    if message.startswith(_TYPED):
        type_id = message.removeprefix(_TYPED)
        if type_id not in spooler_task_types:
            raise LookupError(f"no class for the message: {message!r}. Define a SpoolerTask with {type_id=}.")
        kind = spooler_task_types[type_id]
    value = payload if pickled is None else unpickled(pickled)
    conclude(kind(context.id, message, value).process())


def conclude(result: object) -> None:
    """End the attempt as its result says. Raises: Retry: it was rescheduled."""
    if isinstance(result, ResultRescheduled):
        raise Retry(reason=f"rescheduled: {result.exception or result.result}") from result.exception
    if _is_code_to_run_again(result):
        raise Retry(reason=f"rescheduled: the function returned SPOOL_{SpoolCode(result).name}")


def _is_code_to_run_again(result: object) -> TypeGuard[int]:
    """Return True for uWSGI's SPOOL_RETRY and SPOOL_IGNORE.

    The raw module `uwsgi` has plain numbers. -1 is taken for SPOOL_RETRY, but 0 may be any value.
    """
    return result is SpoolCode.IGNORE or (type(result) in (int, SpoolCode) and result == SpoolCode.RETRY)
