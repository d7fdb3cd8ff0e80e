"""The end of an attempt as JSON: the return value, or the exception with its traceback. Both are bounded."""

from __future__ import annotations

import traceback
from types import TracebackType

from heliograph.exceptions import TaskArgumentError
from heliograph.tasks.sameness import ENCODER, has_nan
from heliograph.tasks.sizes import max_bytes

MAX_TRACEBACK_CHARACTERS = 32_768
"""Characters of a traceback that are kept."""

_MAX_FRAMES = 50
_HEAD = 8192
"""Characters that are kept from the beginning of a longer traceback. The rest is kept from its end."""

_PACKAGE = __name__.partition(".")[0]


def encode_value(value: object) -> bytes:
    """Return a return value as JSON.

    Raises:
        TaskArgumentError: It has no JSON, or is too large.
    """
    if value is None:
        return b"null"
    kind = type(value).__name__
    advice = "Return a value that JSON can express, or None"
    try:
        data = ENCODER.encode(value)
        unexpressed = b"null" in data and has_nan(value)
    except Exception as error:  # noqa: BLE001 - a property of the value may raise anything
        raise TaskArgumentError(
            f"Unsupported type: the return value ({kind}) has no JSON: {error!r}. {advice}."
        ) from None
    if unexpressed:
        raise TaskArgumentError(f"Unsupported type: the return value ({kind}) contains NaN or an infinity. {advice}.")
    if len(data) > max_bytes():
        size = f"{len(data)} bytes, of {max_bytes()} at most"
        raise TaskArgumentError(
            f"the return value ({kind}) is too large: {size}. Store it elsewhere, and return its key."
        )
    return data


def encode_error(error: BaseException, text: str | None = None) -> bytes:
    """Return an exception as JSON: `{"type": ..., "traceback": ...}`. `text` is its traceback. It never raises."""
    name = type_name(type(error))
    return ENCODER.encode(
        {"type": _printable(name)[:1000], "traceback": traceback_text(error) if text is None else text}
    )


def type_name(kind: type[BaseException]) -> str:
    """Return the module and name of a class, also if its metaclass has properties of these names that fail."""
    name: str = type.__dict__["__qualname__"].__get__(kind)
    try:
        module: object = type.__dict__["__module__"].__get__(kind)
    except AttributeError:
        module = None
    return f"{module}.{name}" if isinstance(module, str) else name


def error_of(kind: str, text: str) -> bytes:
    """Return an error without a traceback as JSON."""
    return ENCODER.encode({"type": kind, "traceback": f"{kind}: {text}\n"})


def traceback_text(error: BaseException) -> str:
    """Return the traceback as text that JSON can express, of at most MAX_TRACEBACK_CHARACTERS. It never raises."""
    try:
        frames = _without_runner(error.__traceback__)
        report = traceback.TracebackException(type(error), error, frames, limit=-_MAX_FRAMES, compact=True)
        text = "".join(report.format())
    except Exception:  # noqa: BLE001 - an exception may refuse anything
        text = f"{type_name(type(error))}: <the exception cannot be formatted>\n"
    if len(text) > MAX_TRACEBACK_CHARACTERS:
        cut = len(text) - MAX_TRACEBACK_CHARACTERS
        text = f"{text[:_HEAD]}\n... {cut} characters cut ...\n{text[_HEAD + cut :]}"
    return _printable(text)


def _without_runner(frames: TracebackType | None) -> TracebackType | None:
    """Return the frames from the function of the task on, without those of heliograph that called it."""
    found = frames
    while found is not None and found.tb_frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        found = found.tb_next
    return found or frames


def _printable(text: str) -> str:
    """Return the text with lone surrogates as escapes. JSON cannot express them."""
    return text.encode("utf-8", "backslashreplace").decode()
