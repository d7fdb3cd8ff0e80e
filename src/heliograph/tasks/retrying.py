"""The decision after a failed attempt: another attempt, or the end of the task."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import msgspec

from heliograph._core.tasks.backoff import backoff_delay
from heliograph._core.tasks.options import TaskOptions
from heliograph._core.tasks.times import duration
from heliograph._core.tasks.values import Claim, Outcome, TaskStatus
from heliograph.models import MICROSECONDS
from heliograph.timing.clocks import FakeClock


class Retry(Exception):
    """Raise it in a task to end this attempt and have another one.

    A task with `retries=` gets at most so many further attempts. Without `retries=` each `Retry` is followed.
    """

    def __init__(self, after: float | timedelta | None = None, reason: str = "") -> None:
        """Ask for another attempt.

        Args:
            after: Seconds until it begins, or a timedelta. Default: as the options `backoff` and `max_backoff` say.
            reason: Text for the errors of the task.

        Raises:
            InvalidTask: `after` is no number of seconds, negative or too large.
        """
        self.after = None if after is None else duration("after", after)
        """Microseconds."""
        super().__init__(reason or ("Retry" if after is None else f"Retry after {after!r}"))


class NoRetry(Exception):
    """Raise it in a task, or a subclass of it, to end the task: it has FAILED, whatever `retries=` says."""


class Overrides(msgspec.Struct, omit_defaults=True):
    """The options of a function that one task has changed, in seconds.

    The JSON may have other keys, for example what Django's tasks add.
    """

    retries: int | None = None
    backoff: float | None = None
    max_backoff: float | None = None
    time_limit: float | None = None


_OVERRIDES = msgspec.json.Decoder(Overrides)


def changed_options(options: TaskOptions, changed: TaskOptions) -> dict[str, float]:
    """Return the options that a task keeps because they differ from those of its function."""
    return {
        name: value
        for name in Overrides.__struct_fields__
        if (value := getattr(changed, name)) != getattr(options, name) and value is not None
    }


def options_with(options: TaskOptions, overrides: bytes) -> TaskOptions:
    """Return the options of a task: those of the function, and its own."""
    if not overrides:
        return options
    own = _OVERRIDES.decode(overrides)
    changed = {name: value for name in own.__struct_fields__ if (value := getattr(own, name)) is not None}
    return replace(options, **changed)


def failure(options: TaskOptions, claim: Claim, error: bytes, now: int, cause: BaseException | None = None) -> Outcome:
    """Return the outcome of a failed attempt. `cause` is its exception, if it had one."""
    if not may_repeat(options, claim, cause):
        return Outcome(TaskStatus.FAILED, error=error)
    if isinstance(cause, Retry) and cause.after is not None:
        delay = cause.after
    else:
        delay = int(backoff_delay(claim.attempt, options.backoff, options.max_backoff, _jitter()) * MICROSECONDS)
    return Outcome(TaskStatus.READY, error=error, run_after=now + delay)


def may_repeat(options: TaskOptions, claim: Claim, cause: BaseException | None) -> bool:
    """Return True if a task has another attempt after this one has failed. `options` are those of the task."""
    if isinstance(cause, NoRetry):
        return False
    if isinstance(cause, Retry):
        return options.retries is None or claim.attempt <= options.retries
    if options.retry_on is not None and not isinstance(cause, options.retry_on):
        return False
    return claim.attempt <= (options.retries or 0)


def _jitter() -> float:
    """Return a random number from 0 to 1, and 0 on the fake clock of a test."""
    from heliograph import engines  # noqa: PLC0415 - the engine is chosen at its first use

    return 0.0 if isinstance(engines.current().clock, FakeClock) else random.random()  # noqa: S311 - no secret
