"""The application that every server loads: it registers through one peer's API, and runs a job for each request.

A job is JSON: `["flood", {"count": 1000, "window": 0, "to": 0}]`; so is the answer, a text if the job failed. It comes
as the query string of a request, or to `lib.job_socket` where there are no requests.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from lib.api_adapters import bind
from lib.job_socket import VARIABLE, open_desk
from lib.load_generators import Sender, work
from lib.shared_counters import Memory

_MEMORY = Memory()
_SENDER = Sender(bind(os.environ["BENCH_BINDING"], _MEMORY), _MEMORY)


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """The WSGI entry."""
    answer = work(_SENDER, environ["QUERY_STRING"])
    start_response("200 OK" if answer.startswith("{") else "500 Failed", [])
    return [answer.encode()]


if VARIABLE in os.environ:
    open_desk(partial(work, _SENDER))
