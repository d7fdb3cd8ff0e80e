"""One attempt of a task: call the function, and note how it ended."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from heliograph import engines
from heliograph._core.tasks.values import Claim, Outcome, TaskStatus
from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.exceptions import TaskArgumentError, TimeLimitExceeded
from heliograph.interfaces import HandlerInterrupted
from heliograph.interfaces.store import TaskOwner, TaskStore
from heliograph.models import MICROSECONDS
from heliograph.tasks import failing
from heliograph.tasks.context import RUNNING, TaskContext
from heliograph.tasks.hosting import now
from heliograph.tasks.outcomes import encode_error, error_of, traceback_text, type_name
from heliograph.tasks.registry import TaskDefinition
from heliograph.tasks.retrying import failure, options_with
from heliograph.tasks.time_limits import TimeLimits

_LOG = tolerant_logger("heliograph.tasks")

Call = Callable[[TaskDefinition, TaskContext, tuple[Any, ...], dict[str, Any]], object]
"""Calls the function of a task, and returns its final value. Awaitables are run to their end."""

_LIMITS = TimeLimits()

_MAX_SUMMARY = 200
"""Characters of an exception's text in a line of the log."""


class Attempt:
    """An attempt that begins now."""

    def __init__(self, definition: TaskDefinition, claim: Claim, owner: TaskOwner, store: TaskStore) -> None:
        self._definition = definition
        self._claim = claim
        self._owner = owner
        self._store = store
        options = definition.options
        self._options = options_with(options, claim.overrides) if claim.overrides else options
        self._pid = os.getpid()
        self._ending = threading.Lock() if self._options.time_limit else None
        self._error: BaseException | None = None

    def run(self, call: Call) -> None:
        """Run the function, and note how it ended.

        Raises:
            HandlerInterrupted: The process exits, so the attempt does not count.
            KeyboardInterrupt: uWSGI, or somebody at the terminal, ends the process. The task is left as it is.
        """
        if not self._owner.begin(self._claim, now()):
            return
        try:
            outcome = self._outcome_of_call(call)
        except HandlerInterrupted:
            self._finish(Outcome(TaskStatus.READY, counts=False))
            raise
        if os.getpid() == self._pid:  # else this is a process that the function forked, and that returned from it
            self._finish(outcome)
            self._definition.ended(self._claim, outcome, self._error)
            if self._error is not None:
                failing.report(self._claim, outcome, self._error)
                self._error = None  # its traceback refers to this object

    def _outcome_of_call(self, call: Call) -> Outcome:
        try:
            args, kwargs = self._definition.codec.decode(self._claim.arguments)
        except TaskArgumentError as error:
            _LOG.error("Task %s failed: %s", self, error)
            self._error = error
            return Outcome(TaskStatus.FAILED, error=encode_error(error))
        try:
            value = self._value_of_call(call, args, kwargs)
        except HandlerInterrupted:
            raise
        except BaseException as error:
            if os.getpid() != self._pid or (isinstance(error, KeyboardInterrupt) and _ends_processes()):
                raise
            self._error = error
            text = traceback_text(error)
            return self._failure(encode_error(error, text), text, error)
        return self._outcome_of_value(value)

    def _value_of_call(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        claim = self._claim
        context = TaskContext(claim.name, claim.id, claim.attempt, self._report_progress, claim)
        token = RUNNING.set(context)
        try:
            if not self._options.time_limit:
                return call(self._definition, context, args, kwargs)
            with _LIMITS.limited(self._options.time_limit, self._exceed_limit):
                return call(self._definition, context, args, kwargs)
        finally:
            RUNNING.reset(token)

    def _outcome_of_value(self, value: object) -> Outcome:
        try:
            outcome = Outcome(TaskStatus.SUCCESSFUL, value=self._definition.encode_value(value))
        except (TypeError, ValueError) as error:
            self._error = error
            _LOG.error("Task %s failed after it had returned, so it is not repeated: %s", self, error)
            return Outcome(TaskStatus.FAILED, error=encode_error(error))
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug("Task %s succeeded", self)
        return outcome

    def _failure(self, data: bytes, text: str, error: BaseException) -> Outcome:
        outcome = failure(self._options, self._claim, data, now(), error)
        if outcome.status is TaskStatus.READY:
            delay = max(outcome.run_after - now(), 0) / MICROSECONDS
            _LOG.warning("Attempt %d of task %s failed, next one in %.3g s: %s", *self._facts, delay, _summary(error))
        else:
            _log_traceback(error, text, "Task %s failed (attempt %d): %s", self, self._claim.attempt, _summary(error))
        return outcome

    def _exceed_limit(self) -> bool:
        """Note in a thread that the attempt exceeded its limit. Return False if it has ended at the last moment."""
        if self._ending is None or not self._ending.acquire(blocking=False):
            return False
        text = f"time limit: the attempt took longer than {self._options.time_limit:g} s, so its process was killed."
        data, error = error_of("heliograph.exceptions.TimeLimitExceeded", text), TimeLimitExceeded(text)
        outcome = failure(self._options, self._claim, data, now(), error)
        _LOG.error("Killing process %d: task %s exceeded its time limit", self._pid, self)
        try:
            self._owner.finish(self._claim, outcome, now())
        except Exception:  # noqa: BLE001 - the process must end nonetheless, and then counts as a killed one
            _LOG.exception("Cannot note the end of task %s", self)
        failing.report_before_kill(self._claim, outcome, error)
        return True  # the lock stays locked, so the function's own end comes too late

    def _finish(self, outcome: Outcome) -> None:
        if self._ending is not None:
            self._ending.acquire()  # for good: the limit comes too late from now on
        self._owner.finish(self._claim, outcome, now())

    def _report_progress(self, progress: bytes) -> bool:
        return self._store.report_progress(self._claim.id, self._claim.attempt, progress, now())

    @property
    def _facts(self) -> tuple[int, Attempt]:
        return self._claim.attempt, self

    def __str__(self) -> str:
        return f"{self._claim.name} ({self._claim.id})"


def _ends_processes() -> bool:
    """Return True if a `KeyboardInterrupt` may come from outside. The heliograph server's processes ignore SIGINT."""
    return engines.current().name != "local"


def _log_traceback(error: BaseException, text: str, message: str, *facts: object) -> None:
    """Log an exception. Handlers get it as it is, and its traceback as bounded text, which every encoding has."""
    if _LOG.isEnabledFor(logging.ERROR):
        exc_info = (type(error), error, error.__traceback__)
        logger = _LOG.logger
        record = logger.makeRecord(logger.name, logging.ERROR, __file__, 0, message, facts, exc_info, "_log_traceback")
        record.exc_text = _for_log(text.rstrip("\n"))
        _LOG.handle(record)


def _shortened(text: str) -> str:
    """Return a text of at most _MAX_SUMMARY characters, cut between two words if there are any."""
    if len(text) <= _MAX_SUMMARY:
        return text
    cut = text[: _MAX_SUMMARY - 3]
    return f"{cut.rpartition(' ')[0] or cut}..."


def _summary(error: BaseException) -> str:
    """Return type and text of an exception, which may refuse to be shown, in one short line."""
    try:
        text = f"{type(error).__name__}: {_shortened(str(error))}"
    except BaseException:  # noqa: BLE001 - the type has to do
        text = type_name(type(error))
    return _for_log(text.replace("\n", " "))


def _for_log(text: str) -> str:
    """Return a text with the characters that a file or terminal may not take as escapes. Line breaks and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode-escape").decode() for c in text)
