"""An integration of Sentry: an error of a handler or of a task arrives once, with its name, tags and breadcrumbs.

    import sentry_sdk
    from heliograph.contrib.sentry import HeliographIntegration

    sentry_sdk.init(dsn="...", integrations=[HeliographIntegration()])

Without it an error arrives once too, by Sentry's integration of logging, but without the name as its transaction.
An attempt of a task that is repeated is no error yet.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

try:
    import sentry_sdk
    from sentry_sdk.integrations import Integration
    from sentry_sdk.scope import add_global_event_processor, use_isolation_scope
    from sentry_sdk.utils import event_from_exception
except ImportError as error:
    raise ImportError(f"{__name__} needs the SDK of Sentry: pip install 'heliograph[sentry]'.") from error

from heliograph import engines
from heliograph._core.signals.handlers import describe
from heliograph.models import SignalDescription
from heliograph.runtime.handlers import REGISTRY
from heliograph.runtime.hooks import on_stop
from heliograph.runtime.instrumentation import Call, instrument_calls

if TYPE_CHECKING:
    from heliograph.tasks.registry import TaskDefinition
    from heliograph.tasks.storing import Put

_CAPTURED = "_heliograph_captured"
"""Attribute of an exception that was sent to Sentry, so that its line in the log is not sent as well."""
_FLUSH_TIMEOUT = 2.0
"""Seconds for the events that are not sent yet when a process exits."""
_PIDS = [0]
"""The process that sends its last events when it exits."""

IsError = Callable[[BaseException], bool]


class HeliographIntegration(Integration):
    """Reports errors of handlers and tasks."""

    identifier = "heliograph"
    origin = "auto.queue.heliograph"

    @staticmethod
    def setup_once() -> None:
        """Wrap all handlers and tasks of this process. Sentry calls it once."""
        instrument_calls(_signal, _task, _put)
        add_global_event_processor(_without_log_lines)


def _signal(call: Call, known: SignalDescription) -> Call:
    def run(num: int) -> Any:
        name = REGISTRY.names.get(num) or describe(known.func)
        facts = {"signal": name, "number": num, "target": known.target, "function": describe(known.func)}
        return _run(call, (num,), describe(known.func), {"heliograph.signal": name}, facts, _is_exception)

    return run


def _task(call: Call, definition: TaskDefinition) -> Call:
    from heliograph.tasks.retrying import may_repeat, options_with  # noqa: PLC0415 - they need msgspec

    def run(context: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        def is_error(error: BaseException) -> bool:
            if not isinstance(error, (Exception, SystemExit)):
                return False  # it is cancelled, or the process ends
            return not may_repeat(options_with(definition.options, context.claim.overrides), context.claim, error)

        tags = {"heliograph.task": definition.name, "heliograph.task_id": context.id}
        facts = {"task": definition.name, "id": context.id, "attempt": context.attempt}
        return _run(call, (context, args, kwargs), definition.name, tags, facts, is_error)

    return run


def _is_exception(error: BaseException) -> bool:
    return isinstance(error, Exception)


def _put(put: Put) -> Put:
    return put


def _run(
    call: Call,
    args: tuple[Any, ...],
    name: str,
    tags: Mapping[str, str],
    facts: Mapping[str, Any],
    is_error: IsError,
) -> Any:
    """Call a function within a scope of its own. If it returns an awaitable, that is awaited within the scope."""
    if sentry_sdk.get_client().get_integration(HeliographIntegration) is None:
        return call(*args)
    _flush_at_end()
    with sentry_sdk.isolation_scope() as scope:
        process = str(engines.current().identity)
        scope.clear_breadcrumbs()
        scope.set_transaction_name(name, source="task")
        scope.set_tags({**tags, "heliograph.process": process})
        scope.set_context("heliograph", {**facts, "process": process})
        try:
            result = call(*args)
        except BaseException as error:
            _capture(error, is_error)
            raise
    return _awaited(result, scope, is_error) if inspect.isawaitable(result) else result


async def _awaited(awaitable: Awaitable[Any], scope: Any, is_error: IsError) -> Any:
    with use_isolation_scope(scope):
        try:
            return await awaitable
        except BaseException as error:
            _capture(error, is_error)
            raise


def _capture(error: BaseException, is_error: IsError) -> None:
    if not is_error(error):
        return
    options = sentry_sdk.get_client().options
    mechanism = {"type": HeliographIntegration.identifier, "handled": False}
    event, hint = event_from_exception(error, client_options=options, mechanism=mechanism)
    sentry_sdk.capture_event(event, hint=hint)
    vars(error)[_CAPTURED] = True


def _without_log_lines(event: Any, hint: Any) -> Any:
    """Drop the event of a line in the log of heliograph, if its exception was sent before."""
    record, error = hint.get("log_record"), (hint.get("exc_info") or (None, None))[1]
    if record is None or error is None or not record.name.startswith("heliograph."):
        return event
    return None if _CAPTURED in vars(error) else event


def _flush_at_end() -> None:
    """Send the last events of this process before it exits. Not all web servers let Sentry do that by `atexit`."""
    if _PIDS[0] != os.getpid():
        _PIDS[0] = os.getpid()
        on_stop(_flush)


def _flush() -> None:
    sentry_sdk.flush(_FLUSH_TIMEOUT)
