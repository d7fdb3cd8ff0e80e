"""The options of a task: those of the settings for all tasks, its queue and its function, then its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.core.exceptions import ImproperlyConfigured

from heliograph._core.tasks.options import TaskOptions
from heliograph.contrib.django import task_api
from heliograph.contrib.django.task_class import OPTIONS, own_options
from heliograph.exceptions import UwsgiconfException
from heliograph.runtime.task_options import checked_options

_NO_OPTIONS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Settings:
    """OPTIONS of a backend: options of all tasks, and of those of a queue or function.

    "OPTIONS": {
        "retries": 3,
        "queues": {"reports": {"target": "mule2"}},
        "tasks": {"shop.tasks.send_mail": {"retries": 5, "backoff": 10}},
    }
    """

    alias: str
    options: Mapping[str, Any]

    def options_of(self, task: task_api.Task) -> TaskOptions:
        """Return the options of a task, checked.

        Raises:
            ImproperlyConfigured: OPTIONS of the settings are invalid.
            InvalidTask: An option of the task is invalid.
        """
        options = TaskOptions()
        for place, given in self._given(task):
            options = self._checked(options, place, given)
        try:
            return checked_options(options, {"priority": int(task.priority), **own_options(task)})
        except (UwsgiconfException, TypeError) as error:
            raise task_api.InvalidTask(f"invalid task {task.module_path}: {error}") from error

    def targets(self) -> tuple[str, ...]:
        """Return the targets of all queues. Raises: ImproperlyConfigured."""
        found = [self._checked(self._common(), place, given).target for place, given in self._tables("queues")]
        return tuple(dict.fromkeys(found))

    def check(self) -> None:
        """Check all options, also of tasks that are not declared. Raises: ImproperlyConfigured."""
        for place, given in (*self._tables("queues"), *self._tables("tasks")):
            self._checked(self._common(), place, given)
        self._common()

    def queues(self) -> tuple[str, ...]:
        """The queues that have options."""
        return tuple(self._table("queues"))

    def _given(self, task: task_api.Task) -> Iterator[tuple[str, Mapping[str, Any]]]:
        yield self._place(), self._all()
        for key, name in ("queues", task.queue_name), ("tasks", task.module_path):
            table = self._table(key)
            if name in table:
                yield self._place(key, name), self._mapping(table[name], key, name)

    def _tables(self, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for name, given in self._table(key).items():
            yield self._place(key, name), self._mapping(given, key, name)

    def _common(self) -> TaskOptions:
        return self._checked(TaskOptions(), self._place(), self._all())

    def _all(self) -> Mapping[str, Any]:
        return {name: value for name, value in self.options.items() if name not in ("queues", "tasks")}

    def _table(self, key: str) -> Mapping[str, Any]:
        return self._mapping(self.options.get(key, _NO_OPTIONS), key)

    def _mapping(self, value: object, *place: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise ImproperlyConfigured(f"{self._place(*place)} is invalid: {value!r:.200}. Use a dictionary.")
        return cast("Mapping[str, Any]", value)

    def _place(self, *keys: str) -> str:
        return f"TASKS[{self.alias!r}]['OPTIONS']" + "".join(f"[{key!r}]" for key in keys)

    def _checked(self, options: TaskOptions, place: str, given: Mapping[str, Any]) -> TaskOptions:
        unknown = [name for name in given if name not in OPTIONS]
        if unknown:
            allowed = ", ".join(OPTIONS)
            raise ImproperlyConfigured(f"{place} has an unknown key: {unknown[0]!r}. Use queues, tasks, {allowed}.")
        try:
            return checked_options(options, given)
        except UwsgiconfException as error:
            raise ImproperlyConfigured(f"{place}: {error}") from error
