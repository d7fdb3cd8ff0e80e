"""WSGI servers that are not known: the process joins when its first request comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from heliograph.runtime.membership import join_server

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""As PEP 3333 has it."""


class Middleware:
    """Passes everything through, and has each process join at its first request.

    Not needed under gunicorn, uvicorn and granian. Harmless there, and where no heliograph server is.

    >>> app = Middleware(lambda environ, start_response: [b"hello"])
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._joined_in = 0
        """The process that joined; a fork is another one."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._joined_in != os.getpid():
            join_server()  # two threads may come here at once; to join twice is to join
            self._joined_in = os.getpid()
        return self._app(environ, start_response)
