"""A backend of Django's tasks: they are stored and run as tasks of heliograph.

    TASKS = {"default": {"BACKEND": "heliograph.contrib.django.tasks.Backend"}}

Django makes the backend when it imports a module with a task, thus also in the process that the other ones are forked
from. The backend opens nothing: each process opens the store at its first use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from heliograph.contrib.django import task_api
from heliograph.contrib.django.connections import manage_connections
from heliograph.contrib.django.task_checks import check_backend
from heliograph.contrib.django.task_class import Task
from heliograph.contrib.django.task_definitions import declare, result_of_row
from heliograph.contrib.django.task_options import Settings
from heliograph.contrib.django.task_results import overrides_of, result_of
from heliograph.exceptions import SignalTypeError, UwsgiconfException
from heliograph.runtime.task_type import ADAPTERS
from heliograph.runtime.task_type import Task as HeliographTask
from heliograph.tasks.enqueueing import Order, enqueue_one
from heliograph.tasks.hosting import store
from heliograph.tasks.registry import TASKS, TaskDefinition
from heliograph.tasks.results import TaskResult
from heliograph.tasks.retrying import changed_options

__all__ = ["Backend", "Task"]

_MAX_KNOWN = 1000
"""Tasks whose options a backend keeps. Each combination of options that `using()` makes is one."""


class Backend(task_api.BaseTaskBackend):
    """Stores tasks for the processes of a heliograph server, which run them."""

    task_class = Task
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        self._settings = Settings(alias, self.options)
        self._known: dict[task_api.Task, tuple[TaskDefinition, Order]] = {}

    def validate_task(self, task: task_api.Task) -> None:
        """Check a task, and register its function if it is new.

        Raises:
            InvalidTask: The function cannot be a task, or an option is invalid.
            ImproperlyConfigured: OPTIONS of the settings are invalid.
            RegistrationError: This process cannot register for the other processes.
        """
        _check_types(task)
        super().validate_task(task)
        self._order(task)

    def enqueue(self, task: task_api.Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> task_api.TaskResult:
        """Store a task. When this method has returned, it will run. A transaction of the database changes nothing.

        Raises:
            InvalidTask: The task is invalid, or other processes would not find its function.
            TypeError: The function does not take these arguments, or one of them has no JSON.
            StoreError: The task could not be stored.
        """
        self.validate_task(task)
        definition, order = self._order(task)

        def announce(stored: TaskResult) -> None:
            task_api.task_enqueued.send_robust(type(self), task_result=result_of(stored.row, task))

        try:
            found = enqueue_one(definition, order, args, kwargs, announce)
        except UwsgiconfException as error:
            raise _for_django(error) from error
        return result_of(found.row, task)

    def get_result(self, result_id: str) -> task_api.TaskResult:
        """Return the result of a task. Raises: TaskResultDoesNotExist: no task of Django has this id."""
        row = store().get(result_id) if isinstance(result_id, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
        found = None if row is None else result_of_row(row, self.task_class)
        if found is None:
            raise task_api.TaskResultDoesNotExist(result_id)
        return found

    def check(self, **_kwargs: Any) -> Iterable[Any]:
        """Return the messages of Django's system checks. They make no store."""
        return check_backend(self._settings, self.queues)

    def adapt(self, task: task_api.Task) -> HeliographTask[..., Any]:
        """Return a task of this backend as one of heliograph, for a trigger to enqueue."""
        return HeliographTask(*self._order(task))

    def _order(self, task: task_api.Task) -> tuple[TaskDefinition, Order]:
        """Return the definition of the function, and the options to enqueue with."""
        known = self._known.get(task)
        if known is None or TASKS.definitions.get(known[0].name) is not known[0]:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            known = self._known[task] = self._new_order(task)
        return known

    def _new_order(self, task: task_api.Task) -> tuple[TaskDefinition, Order]:
        options = self._settings.options_of(task)
        try:
            definition = declare(task, options, self._settings.targets)
        except UwsgiconfException as error:
            raise _for_django(error) from error
        overrides = overrides_of(task, changed_options(definition.options, options))
        return definition, Order(options, _instant(task.run_after), overrides=overrides)


def _check_types(task: task_api.Task) -> None:
    """Refuse what Django's own checks take or fail on."""
    try:
        int(task.priority)
    except (TypeError, ValueError, OverflowError):
        raise task_api.InvalidTask(f"priority must be a whole number, not {task.priority!r:.80}.") from None
    if isinstance(task.priority, str):
        raise task_api.InvalidTask(f"priority must be a whole number, not {task.priority!r:.80}.")
    run_after: Any = task.run_after
    if run_after is not None and not isinstance(run_after, datetime):
        raise task_api.InvalidTask(f"run_after must be an aware datetime, not {run_after!r:.80}.")


def _instant(run_after: datetime | None) -> datetime | None:
    """Return the time with a zone. A time without one is in TIME_ZONE, where Django allows it (USE_TZ=False)."""
    if run_after is None or settings.USE_TZ or timezone.is_aware(run_after):
        return run_after
    return timezone.make_aware(run_after, timezone.get_default_timezone())


def _for_django(error: UwsgiconfException) -> Exception:
    """Return the exception that Django's contract has for one of heliograph."""
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return task_api.InvalidTask(str(error))
    return error


def _adapt(value: object) -> HeliographTask[..., Any] | None:
    if not isinstance(value, task_api.Task):
        return None
    backend = task_api.task_backends[value.backend]
    if not isinstance(backend, Backend):
        kind = f"{type(backend).__module__}.{type(backend).__qualname__}"
        text = f"invalid target: {value.module_path} is a task of {kind}."
        raise SignalTypeError(f"{text} Use the backend heliograph.contrib.django.tasks.Backend.", value)
    return backend.adapt(value)


ADAPTERS.append(_adapt)
manage_connections()
