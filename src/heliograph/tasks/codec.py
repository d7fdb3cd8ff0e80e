"""Arguments as JSON: checked against the annotations when a task is enqueued, and rebuilt for each attempt.

How it works
    JSON has fewer types than Python. msgspec converts the others by the annotations of the function. A call has a
    shape: the number of positional arguments, and the names of the others. Each shape has one decoder. When a task is
    enqueued, its arguments are encoded, decoded again, and compared. An argument that would not come back as it was
    is refused, and the error names it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec

from heliograph.exceptions import TaskArgumentError
from heliograph.models import DEFAULT_TASK_BYTES
from heliograph.tasks.annotations import may_have_times, parameter_type, signature_of
from heliograph.tasks.sameness import ENCODER, has_fold, same

_MAX_SHAPES = 256
"""Shapes whose decoders are kept. A function with `**options` may be called in many shapes."""

_RAW = msgspec.json.Decoder(tuple[list[msgspec.Raw], dict[str, msgspec.Raw]])

_TypedDict: Any = TypedDict
"""`TypedDict` for types that are made at run time."""

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and named arguments."""


@dataclass(frozen=True, slots=True)
class _Shape:
    decode: Callable[[bytes], Arguments]
    parameters: tuple[inspect.Parameter, ...]
    """The parameter of each argument, positional ones first."""
    has_times: bool
    """An argument may contain a time, by its annotation."""


class ArgumentCodec:
    """Converts the arguments of one function. `name` is that of the task, for errors."""

    def __init__(self, func: Callable[..., Any], name: str, *, takes_context: bool) -> None:
        """Inspect the signature. The annotations are evaluated at the first use.

        Raises:
            TypeError, ValueError: The function has no signature.
        """
        self._func = func
        self._name = name
        signature = signature_of(func)
        parameters = list(signature.parameters.values())
        self._signature = signature.replace(parameters=parameters[1:]) if takes_context else signature
        first = parameters[0] if takes_context else None
        self._own = first.name if first is not None and first.kind is not first.POSITIONAL_ONLY else None
        """The name of the parameter that gets the context. No argument may have it, even if there is `**options`."""
        self._shapes: dict[tuple[int, tuple[str, ...]], _Shape] = {}

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], limit: int = DEFAULT_TASK_BYTES) -> bytes:
        """Return the arguments as JSON: `[positional, named]`.

        Raises:
            TaskArgumentError: The function does not take them, or one of them cannot be kept.
        """
        shape = self._shape(len(args), tuple(kwargs))
        try:
            data = ENCODER.encode((args, kwargs))
            if len(data) <= limit:
                back_args, back_kwargs = shape.decode(data)
                is_same = back_args == args and back_kwargs == kwargs
                if is_same and not (shape.has_times and has_fold([*args, *kwargs.values()])):
                    return data
        except Exception:  # noqa: BLE001 - the code below finds the argument, and what is wrong with it
            data = b""
        sizes = [self._check(parameter, value) for parameter, value in _pairs(shape, args, kwargs)]
        data = data or ENCODER.encode((args, kwargs))
        if len(data) > limit:
            self._refuse_size(shape, sizes, len(data), limit)
        return data

    def decode(self, data: bytes) -> Arguments:
        """Return the arguments that `encode` was given.

        Raises:
            TaskArgumentError: The function does not take them any longer.
        """
        try:
            args, kwargs = _RAW.decode(data)
        except msgspec.DecodeError as error:
            text = f"the arguments are no JSON of the form [[positional], {{named}}]: {error}"
            raise TaskArgumentError(f"cannot call {self._name}: {text}") from None
        shape = self._shape(len(args), tuple(kwargs))
        try:
            return shape.decode(data)
        except Exception:  # noqa: BLE001 - the code below finds the argument
            found = [self._decoded(parameter, bytes(raw)) for parameter, raw in _pairs(shape, tuple(args), kwargs)]
            return tuple(found[: len(args)]), dict(zip(kwargs, found[len(args) :], strict=True))

    def _shape(self, count: int, names: tuple[str, ...]) -> _Shape:
        found = self._shapes.get((count, names))
        if found is None:
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            found = self._shapes[count, names] = self._new_shape(count, names)
        return found

    def _new_shape(self, count: int, names: tuple[str, ...]) -> _Shape:
        if self._own is not None and self._own in names:
            text = f"{self._own!r} is not for callers: heliograph passes the context of the attempt"
            raise TaskArgumentError(f"cannot call {self._name}: {text}. It takes {self._signature}.", self._own)
        try:
            bound = self._signature.bind(*range(count), **dict.fromkeys(names))
        except TypeError as error:
            quoted = str(error).split("'")
            argument = quoted[1] if len(quoted) > 1 else ""
            raise TaskArgumentError(
                f"cannot call {self._name}: {error}. It takes {self._signature}.", argument
            ) from None
        parameters = self._parameters(bound, count, names)
        types = [self._type(parameter) for parameter in parameters]
        positional: Any = tuple.__class_getitem__(tuple(types[:count]))
        named: Any = _TypedDict("named", dict(zip(names, types[count:], strict=True)))
        for parameter, kind in zip(parameters, types, strict=True):
            self._decoder(parameter, kind)
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(tuple[positional, named])
        return _Shape(decoder.decode, parameters, any(map(may_have_times, types)))

    def _parameters(
        self, bound: inspect.BoundArguments, count: int, names: tuple[str, ...]
    ) -> tuple[inspect.Parameter, ...]:
        known = list(self._signature.parameters.values())
        positional = [p for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
        rest = [p for p in known if p.kind is p.VAR_POSITIONAL] * (count - len(positional))
        extra = next((p for p in known if p.kind is p.VAR_KEYWORD), None)
        by_name = {p.name: p for p in known if p.name in bound.arguments and p.kind is not p.POSITIONAL_ONLY}
        named = (by_name.get(name) or extra for name in names)
        return (*positional, *rest, *(found for found in named if found is not None))

    def _type(self, parameter: inspect.Parameter) -> Any:
        try:
            return parameter_type(self._func, parameter)
        except Exception as error:  # noqa: BLE001 - msgspec and the user's types raise several kinds
            raise self._error(
                parameter, f"its annotation {parameter.annotation!r} cannot be evaluated: {error}"
            ) from None

    def _decoder(self, parameter: inspect.Parameter, kind: Any) -> msgspec.json.Decoder[Any]:
        try:
            return msgspec.json.Decoder(kind)
        except Exception as error:  # noqa: BLE001 - msgspec and the user's types raise several kinds
            raise self._error(parameter, f"its annotation is not supported: {error}") from None

    def _check(self, parameter: inspect.Parameter, value: object) -> int:
        """Return the size of an argument. Raises: TaskArgumentError: it cannot be kept."""
        try:
            data = ENCODER.encode(value)
        except Exception as error:  # noqa: BLE001 - msgspec and the user's types raise several kinds
            raise self._error(parameter, f"{_short(value)} cannot be written as JSON: {error}") from None
        if has_fold(value):
            text = f"{_short(value)} has fold=1, which JSON cannot express. Pass a time with a time zone"
            raise self._error(parameter, text)
        back = self._decoded(parameter, data)
        if not same(value, back):
            text = f"{_short(value)} would come back as {_short(back)}. Annotate the parameter with its type"
            raise self._error(parameter, text)
        return len(data)

    def _decoded(self, parameter: inspect.Parameter, data: bytes) -> Any:
        try:
            return self._decoder(parameter, self._type(parameter)).decode(data)
        except msgspec.DecodeError as error:
            raise self._error(parameter, str(error)) from None

    def _refuse_size(self, shape: _Shape, sizes: list[int], size: int, limit: int) -> None:
        largest = shape.parameters[sizes.index(max(sizes))]
        text = f"the arguments take {size} bytes, of {limit} at most. Store the data elsewhere, and pass its key"
        raise self._error(largest, text)

    def _error(self, parameter: inspect.Parameter, reason: str) -> TaskArgumentError:
        message = f"invalid argument {parameter.name!r} of {self._name}: {reason}."
        return TaskArgumentError(message, parameter.name)


def _pairs(shape: _Shape, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[inspect.Parameter, Any]]:
    return zip(shape.parameters, (*args, *kwargs.values()), strict=True)


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the type has to do
        text = "an object"
    return f"{text[:80]}{'...' if len(text) > 80 else ''} ({type(value).__name__})"
