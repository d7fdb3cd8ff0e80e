"""The application that every server loads: it registers handlers through one peer's API and runs one job per request.

A job is JSON: `["flood", {"count": 1000, "window": 0, "to": 0}]`. The answer is a JSON object, or a JSON string if the
job failed. A job arrives as the query string of a request, or through `lib.job_socket` if the server has no requests.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from lib.api_adapters import bind
from lib.job_socket import SOCKET_ENV, listen
from lib.load_generators import Sender, run_request
from lib.shared_counters import SharedCounters

_COUNTERS = SharedCounters()
_SENDER = Sender(bind(os.environ["BENCH_BINDING"], _COUNTERS), _COUNTERS)


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """Run the job in the query string (WSGI entry point)."""
    answer = run_request(_SENDER, environ["QUERY_STRING"])
    start_response("200 OK" if answer.startswith("{") else "500 Failed", [])
    return [answer.encode()]


if SOCKET_ENV in os.environ:
    listen(partial(run_request, _SENDER))
