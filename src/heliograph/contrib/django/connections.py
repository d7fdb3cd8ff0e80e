"""Database connections in handlers, managed as Django manages them in requests."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from heliograph._core.signals.handlers import is_coroutine_function
from heliograph.runtime.signals import wrap_handlers

_MANAGED: list[bool] = []
"""Not empty: handlers that are registered from now on are wrapped."""


def manage_connections() -> None:
    """Manage the connections of all handlers and tasks that are registered from now on. Further calls do nothing."""
    if not _MANAGED:
        _MANAGED.append(True)
        wrap_handlers(with_fresh_connections)


def with_fresh_connections(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a handler: close connections that are broken or older than CONN_MAX_AGE, before and after it.

    Django does the same for requests. Without it, the database may have closed the connection of a process that rarely
    handles a signal. Inside `atomic()` no connection is closed.
    """
    return _around_async(handler) if is_coroutine_function(handler) else _around(handler)


def _around(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    def handle(*args: int) -> Any:
        close_old_connections()
        try:
            result = handler(*args)
        finally:
            close_old_connections()
        return _finish(result) if inspect.isawaitable(result) else result

    return handle


async def _finish(result: Awaitable[object]) -> object:
    """Await what a plain function returned, and close the connections that it used."""
    try:
        return await result
    finally:
        await sync_to_async(close_old_connections)()


def _around_async(handler: Callable[..., Any]) -> Callable[..., Any]:
    close = sync_to_async(close_old_connections)  # in the thread in which the async methods of Django use connections

    @functools.wraps(handler)
    async def handle(*args: int) -> Any:
        await close()
        try:
            return await handler(*args)
        finally:
            await close()

    return handle
