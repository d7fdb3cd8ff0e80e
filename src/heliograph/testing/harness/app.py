"""The application under test.

Load it in a server with 2 workers, 2 mules, a farm `crunchers` of both mules, and a spooler. On uWSGI with
`--lazy-apps`, mules never load the application. There it registers only signals for any worker.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from heliograph import Failure, Signal, TypeTarget, engines, on_failure, on_start, on_stop, uwsgi
from heliograph.runtime.monitoring import register_file_monitor
from heliograph.runtime.scheduling import (
    get_triggers,
    register_cron,
    register_timer,
    register_timer_ms,
    register_timer_rb,
)
from heliograph.testing.harness.agent import LOG, SOCKET, Agent, block_until, record_event
from heliograph.testing.harness.attempts import Attempts, register_in_all_forms, register_with_failing_callback
from heliograph.testing.harness.signals import (
    ANY_WORKER,
    COALESCED_TARGETS,
    JOB_SIGNALS,
    NAME,
    OTHER_TARGETS,
    PERIOD,
    SECOND_TARGETS,
    Handler,
    JobIn,
    Life,
    Triggered,
)

LAZY = engines.current().identity.role == "worker" and engines.current().name == "uwsgi"
"""True if each process of a uWSGI server loads the application. The master routes by an empty table then."""

DIRECTORY = os.path.dirname(os.environ[LOG])  # noqa: PTH120 - a string is needed
AGENT = Agent()
ATTEMPTS = Attempts(lazy=LAZY)
HOOKS: list[str] = []
"""The post-fork hooks that ran after a failing one, as names of processes."""
FAILURES: list[tuple[object, str, str, bool]] = []
"""The failures in this process: signal, or task and attempt, name, type of the exception, and if it is final."""


def _target(name: str) -> TypeTarget:
    return None if LAZY else name


# Handlers


def _no_arguments() -> None:
    record_event(Handler.NO_ARGUMENTS)


def _failing(num: int) -> None:
    record_event(num)
    raise LookupError(f"signal {num} fails on purpose")


def _exiting(num: int) -> None:
    record_event(num)
    sys.exit(0)


def _replaced(num: int) -> None:
    raise AssertionError(f"signal {num} ran a handler that was replaced")


def _blocking(num: int) -> None:
    record_event(num)
    block_until(f"{DIRECTORY}/unblock")


def _run_job(_num: int) -> None:
    AGENT.run_next_job()


# Signals


def _register(signals: Mapping[Any, TypeTarget], func: Callable[..., Any] = record_event) -> None:
    for num, target in signals.items():
        Signal(num).register_handler(target)(func)


def _register_signals() -> None:
    """Register the signals that every engine and mode supports."""
    _register(ANY_WORKER)
    ATTEMPTS.make("decorate", register_in_all_forms)
    ATTEMPTS.make("failing callback", register_with_failing_callback)
    _register({JobIn.WORKER_1: _target("worker1")}, _run_job)
    if not LAZY:
        _register_signals_of_processes()


def _register_signals_of_processes() -> None:
    _register(OTHER_TARGETS)
    _register(SECOND_TARGETS)
    others = {num: process for process, num in JOB_SIGNALS.items() if process != "worker1"}
    _register({num: "spooler" if num is JobIn.SPOOLER else process for num, process in others.items()}, _run_job)
    _register({Handler.IN_KILLED_MULE: "mule2"})
    _register({Handler.BLOCKING: "mule2"}, _blocking)
    for num, target in COALESCED_TARGETS.items():
        Signal(num).register_handler(target, coalesce=True)(record_event)


def _register_special_handlers() -> None:
    first = _target("worker1")
    _register({Handler.NO_ARGUMENTS: first}, _no_arguments)
    _register({Handler.FAILING: first}, _failing)
    _register({Handler.EXITING: _target("mule2")}, _exiting)
    _register({Handler.REPLACED: first}, _replaced)
    _register({Handler.REPLACED: first})
    Signal(name=NAME).register_handler(first)(record_event)


# Triggers


def _register_triggers() -> None:
    _register({num: _target("worker2" if num is Triggered.EVERY_100_MS else "spooler") for num in Triggered})
    register_timer(PERIOD, target=Signal(Triggered.EVERY_PERIOD), name="every period")(record_event)
    register_timer_rb(PERIOD, repeat=3, coalesce=False, target=Signal(Triggered.THREE_TIMES))(record_event)
    register_timer_ms(100, target=Signal(Triggered.EVERY_100_MS))(record_event)
    register_cron(target=Signal(Triggered.EVERY_MINUTE))(record_event)
    register_timer(3600, target=Signal(Triggered.PERIOD_CHANGED), name="changing")(record_event)
    watched = f"{DIRECTORY}/watched"
    register_file_monitor(watched, target=Signal(Triggered.FILE_CHANGED), missing_ok=True)(record_event)
    for _ in range(100):
        register_timer(3600, target=Signal(Triggered.HUNDRED_TIMERS))(record_event)
    ATTEMPTS.results["watched"] = watched
    ATTEMPTS.results["hundred timers"] = sum(trigger.num == Triggered.HUNDRED_TIMERS for trigger in get_triggers())


_register_signals()
_register_triggers()
ATTEMPTS.make_triggers()
_register_special_handlers()
ATTEMPTS.make_registrations()


# Tasks

if not LAZY:
    from heliograph.testing.harness import calls, tasks

    ATTEMPTS.results["tasks"] = sorted(tasks.TASKS)
    ATTEMPTS.results["calls"] = sorted(calls.CALLS)


# Processes


@uwsgi.postfork_hooks.add()
def _start_agent() -> None:
    if SOCKET in os.environ:
        AGENT.start(JOB_SIGNALS["worker1" if LAZY else str(engines.current().identity)])


@uwsgi.postfork_hooks.add()
def _fail() -> None:
    raise LookupError("a post-fork hook that fails on purpose")


@uwsgi.postfork_hooks.add()
def _record_hook() -> None:
    HOOKS.append(str(engines.current().identity))


@on_start
def _started() -> None:
    record_event(Life.STARTED)


@on_stop
def _stopped() -> None:
    record_event(Life.STOPPED)


@on_failure
def _failed(failure: Failure) -> None:
    what = (failure.task.id, failure.task.attempt) if failure.task else failure.signal and failure.signal.num
    FAILURES.append((what, failure.name, type(failure.error).__name__, failure.is_final))
    record_event(Life.FAILED)
    raise LookupError("a failure hook that fails on purpose")


def application(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer any request, so that a web server has an application."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"harness\n"]
