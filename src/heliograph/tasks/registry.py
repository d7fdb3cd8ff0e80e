"""The functions of this process that are tasks, by name."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from heliograph._core.signals.handlers import describe, is_coroutine_function, is_generator_function
from heliograph._core.tasks.options import TaskOptions
from heliograph._core.tasks.values import Claim, Outcome, TaskLimits
from heliograph.exceptions import InvalidTask
from heliograph.tasks.codec import ArgumentCodec
from heliograph.tasks.context import TaskContext, takes_context
from heliograph.tasks.outcomes import encode_value

if TYPE_CHECKING:
    from heliograph.tasks.results import TaskResult

MAX_NAME_LENGTH = 250


@dataclass(frozen=True, eq=False)
class TaskDefinition:
    """A function that is a task, with its options."""

    name: str
    """Module and name of the function: `shop.tasks:send_mail`."""

    func: Callable[..., Any]
    options: TaskOptions
    takes_context: bool
    """The first parameter is `context`."""

    codec: ArgumentCodec
    unfindable: str = ""
    """The reason why another process would not find the function by its name. Empty: it would."""

    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_async", is_coroutine_function(self.func))

    @cached_property
    def limits(self) -> TaskLimits:
        """The limits that the store enforces."""
        return TaskLimits(self.options.limit, self.options.rate)

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets with which the task may be enqueued, that of its options first."""
        return (self.options.target,)

    def call(self, context: TaskContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """Call the function, with the context if it takes one."""
        return self.func(context, *args, **kwargs) if self.takes_context else self.func(*args, **kwargs)

    def encode_value(self, value: object) -> bytes:
        """Return a return value as JSON. Raises: TypeError, ValueError: it has no JSON, or is too large."""
        return encode_value(value)

    def enqueued(self, result: TaskResult) -> None:
        """Do what is to be done after a trigger has stored a task, before a process is woken."""

    def ended(self, claim: Claim, outcome: Outcome, error: BaseException | None) -> None:
        """Do what is to be done after an attempt. Its outcome was noted before. It must not raise."""


class TaskRegistry:
    """The tasks of this process. Each name stands for one function."""

    def __init__(self) -> None:
        self.definitions: dict[str, TaskDefinition] = {}
        self._limits: dict[str, TaskLimits] | None = None

    def add(self, definition: TaskDefinition) -> None:
        """Add a task. A function that was loaded again replaces the older one.

        Raises:
            InvalidTask: Another function has the name.
        """
        old = self.definitions.get(definition.name)
        if old is not None and _place(old.func) != _place(definition.func):
            raise InvalidTask(
                f"duplicate task name: {definition.name!r} belongs to {describe(old.func)} ({_place_text(old.func)}). "
                "Pass another name=.",
                "name",
            )
        self.definitions[definition.name] = definition
        self._limits = None

    @property
    def limits(self) -> Mapping[str, TaskLimits]:
        """The names of all tasks, with their limits."""
        if self._limits is None:
            self._limits = {name: definition.limits for name, definition in self.definitions.items()}
        return self._limits

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets of all tasks, in the order of their declaration."""
        return tuple(dict.fromkeys(target for known in self.definitions.values() for target in known.targets))

    def replace_all(self, definitions: Mapping[str, TaskDefinition]) -> None:
        """Have exactly these tasks."""
        self.definitions.clear()
        self.definitions.update(definitions)
        self._limits = None


TASKS = TaskRegistry()
"""The tasks of this process."""


def define(func: Callable[..., Any], name: str | None, options: TaskOptions) -> TaskDefinition:
    """Return the definition of a task.

    Raises:
        InvalidTask: The function cannot be a task, or other processes would not find it.
    """
    if not callable(func):
        raise InvalidTask(f"invalid task: {func!r}. Pass a function.")
    if is_generator_function(func):
        raise InvalidTask(
            f"invalid task: {describe(func)} is a generator function, and a call would run none of its code. "
            "Pass a function without `yield`."
        )
    found, unfindable = (_checked_name(name), "") if name is not None else _name_of(func)
    with_context = takes_context(func)
    try:
        codec = ArgumentCodec(func, found, takes_context=with_context)
    except (TypeError, ValueError) as error:
        raise InvalidTask(f"invalid task: {describe(func)} has no signature ({error}). Pass a function.") from None
    return TaskDefinition(found, func, options, with_context, codec, unfindable)


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MAX_NAME_LENGTH:
        raise InvalidTask(f"invalid name: {name!r:.300}. Pass 1 to {MAX_NAME_LENGTH} printable characters.", "name")
    return name


def _name_of(func: Callable[..., Any]) -> tuple[str, str]:
    """Return the name of a function, and the reason why other processes would not find it, if there is one."""
    qualname, module = getattr(func, "__qualname__", None), getattr(func, "__module__", None)
    if not qualname or not module:
        raise InvalidTask(f"invalid task: {func!r} has no name. Pass name=, or a function.", "name")
    if "<" in qualname:
        kind = "a lambda" if qualname.endswith("<lambda>") else "a nested function"
        raise InvalidTask(
            f"invalid task: {describe(func)} is {kind}, which other processes cannot find by its name. Define it at "
            "the level of the module, or pass name= if each process defines it when it loads the application.",
            "name",
        )
    if "." in qualname and next(iter(inspect.signature(func).parameters), "") in ("self", "cls"):
        raise InvalidTask(f"invalid task: {describe(func)} is a method. Pass a function or a static method.", "name")
    if module == "__main__":
        module = getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", None) or module
    script = "it was defined in a script, whose module is __main__ here and another one on the server"
    return _checked_name(f"{module}:{qualname}"), script if module == "__main__" else ""


def _place(func: Callable[..., Any]) -> object:
    """Return what identifies a function when its module is loaded again."""
    code = getattr(inspect.unwrap(func), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code is not None else func


def _place_text(func: Callable[..., Any]) -> str:
    place = _place(func)
    return f"{place[0]}:{place[1]}" if isinstance(place, tuple) else "no source file"
