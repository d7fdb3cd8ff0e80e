"""Database connections in handlers, as Django has them in requests."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections


def with_fresh_connections(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler, with connections closed before and after it that are broken or older than CONN_MAX_AGE.

    Requests do the same. Else a process that seldom handles a signal would find its connection closed by the database.
    Within `atomic()` nothing is closed.
    """
    return _around_async(handler) if inspect.iscoroutinefunction(handler) else _around(handler)


def _around(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    def handle(*args: int) -> Any:
        close_old_connections()
        try:
            return handler(*args)
        finally:
            close_old_connections()

    return handle


def _around_async(handler: Callable[..., Any]) -> Callable[..., Any]:
    close = sync_to_async(close_old_connections)  # in the thread in which Django's `a...` methods use connections

    @functools.wraps(handler)
    async def handle(*args: int) -> Any:
        await close()
        try:
            return await handler(*args)
        finally:
            await close()

    return handle
