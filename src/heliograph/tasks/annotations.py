"""The signature of a function, and the types of its parameters."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

_PLAIN = frozenset({Any, bool, int, float, str, bytes, None, list, dict})

_UNTYPED: tuple[object, ...] = (inspect.Parameter.empty, object, Any)


def signature_of(func: Callable[..., Any]) -> inspect.Signature:
    """Return the signature. Annotations that cannot be evaluated yet do no harm.

    Raises:
        TypeError, ValueError: The function has no signature.
    """
    if sys.version_info >= (3, 14):
        import annotationlib  # noqa: PLC0415 - new in 3.14

        return inspect.signature(func, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(func)


def parameter_type(func: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return the type that a parameter is annotated with. `Any` without an annotation: the types of JSON.

    A parameter with the default None may also be None.

    Raises:
        NameError, TypeError: The annotation cannot be evaluated.
    """
    annotation = parameter.annotation
    if annotation in _UNTYPED:
        return Any
    names = getattr(inspect.unwrap(func), "__globals__", {})
    holder: Any = SimpleNamespace(__annotations__={"it": annotation})
    kind = typing.get_type_hints(holder, globalns=names, include_extras=True)["it"]
    if kind in _UNTYPED:
        return Any
    return kind | None if parameter.default is None else kind


def may_have_times(kind: Any) -> bool:
    """Return True if a value of this type may contain a `datetime` or a `time`."""
    try:
        if kind in _PLAIN:
            return False
    except TypeError:  # a type that has no hash
        pass
    from msgspec import inspect as types  # noqa: PLC0415 - most functions need no such look

    try:
        return _leads_to_time(types.type_info(kind), (types.DateTimeType, types.TimeType), set())
    except Exception:  # noqa: BLE001 - msgspec and the user's types raise several kinds
        return True


def _leads_to_time(info: Any, times: tuple[Any, ...], seen: set[int]) -> bool:
    """Look through the description of a type, which may contain itself."""
    if isinstance(info, times):
        return True
    if id(info) in seen:
        return False
    seen.add(id(info))
    parts: Any = info
    if not isinstance(info, tuple):
        parts = [getattr(info, name) for name in getattr(info, "__struct_fields__", ())]
    return any(_leads_to_time(part, times, seen) for part in parts)
