"""The signature of a function, and the types of its parameters."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

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
