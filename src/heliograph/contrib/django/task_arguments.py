"""Arguments and return values of Django's tasks: the types of JSON only, whatever the annotations say."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from heliograph.contrib.django.task_api import normalize_json
from heliograph.models import DEFAULT_TASK_BYTES
from heliograph.tasks.codec import ArgumentCodec
from heliograph.tasks.outcomes import encode_value


class JsonCodec(ArgumentCodec):
    """Converts the arguments of one function as Django does, and checks that they come back from JSON unchanged."""

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], limit: int = DEFAULT_TASK_BYTES) -> bytes:
        """Return the arguments as JSON.

        Raises:
            TypeError: The function does not take them, or one of them cannot be kept.
            ValueError: Bytes are no UTF-8.
        """
        positional = [self._plain(self._name_of(index), value) for index, value in enumerate(args)]
        named = {name: self._plain(name, value) for name, value in kwargs.items()}
        return super().encode(tuple(positional), named, limit)

    def _plain(self, name: str, value: object) -> Any:
        try:
            return plain(normalize_json(value))
        except TypeError as error:
            advice = "Pass text, numbers, lists and dictionaries: a time as text, a model by its primary key"
            raise TypeError(f"{str(error).rstrip('.')} in the argument {name!r}. {advice}.") from error

    def _name_of(self, index: int) -> str:
        """Return the name of the parameter of a positional argument, else its number."""
        parameters = [
            name
            for name, parameter in self._signature.parameters.items()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        return parameters[index] if index < len(parameters) else f"number {index + 1}"

    def _type(self, parameter: inspect.Parameter) -> Any:  # noqa: ARG002 - Django does not look at annotations
        return Any


def encode_return_value(value: object) -> bytes:
    """Return a return value as JSON. Raises: TypeError, ValueError: it has no JSON, or is too large."""
    return encode_value(plain(normalize_json(value)))


def plain(value: Any) -> Any:
    """Return a value as it comes back from JSON. Members of enums become numbers or text, keys become text.

    Raises:
        TypeError: Two keys of a dictionary have the same text, or a key has none.
    """
    parts: Any = value
    if isinstance(value, dict):
        return _plain_dict(parts)
    if isinstance(value, list):
        return [plain(item) for item in parts]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value


def _plain_dict(value: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise TypeError(f"Unsupported type of a key: {key!r:.80} ({type(key).__name__}). Use text.")
        text = str.__str__(key) if isinstance(key, str) else str(int(key))
        if text in found:
            raise TypeError(f"Unsupported keys: two have the text {text!r:.80} in JSON. Use text.")
        found[text] = plain(item)
    return found
