"""WSGI servers that heliograph does not detect: a process joins at its first request."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from heliograph.runtime.membership import join_at_request

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""The type of PEP 3333."""


class Middleware:
    """Joins at the first request of each process. Requests pass unchanged.

    You don't need it with gunicorn, uvicorn and granian. There, and without a heliograph server, it does nothing.

    >>> app = Middleware(lambda environ, start_response: [b"hello"])
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._joined_in = 0
        """Id of the process that joined. A fork has another one."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._joined_in != os.getpid():
            join_at_request()  # two threads may join at the same time, which is harmless
            self._joined_in = os.getpid()
        return self._app(environ, start_response)
