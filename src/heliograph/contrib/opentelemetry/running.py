"""One call within a span, of a function or of a coroutine."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span, Status, StatusCode


class Run:
    """A call that begins now. It ends the span, and reports the exception, if there is one, to `measure`."""

    def __init__(self, span: Span, context: Context, measure: Callable[[BaseException | None], None]) -> None:
        self._span = span
        self._context = context
        self._measure = measure

    def call(self, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call the function, and return its result. If that is an awaitable, the span ends with that."""
        token = attach(self._context)
        try:
            result = call(*args)
        except BaseException as error:
            self._end(error)
            raise
        finally:
            detach(token)
        if inspect.isawaitable(result):
            return self._awaited(result)
        self._end(None)
        return result

    async def _awaited(self, awaitable: Awaitable[Any]) -> Any:
        token = attach(self._context)  # an event loop may run it in another thread
        try:
            result = await awaitable
        except BaseException as error:
            self._end(error)
            raise
        finally:
            detach(token)
        self._end(None)
        return result

    def _end(self, error: BaseException | None) -> None:
        failed = error is not None and not _asks_for_another_attempt(error)
        if error is not None and failed:
            kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
            self._span.record_exception(error)
            self._span.set_attribute("error.type", kind)
            self._span.set_status(Status(StatusCode.ERROR, kind))
        self._span.end()
        self._measure(error if failed else None)


def _asks_for_another_attempt(error: BaseException) -> bool:
    """Return True for `Retry`, which is no failure of the code."""
    return type(error).__name__ == "Retry" and type(error).__module__.startswith("heliograph.")
