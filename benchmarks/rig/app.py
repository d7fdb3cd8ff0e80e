"""The application that every server loads: it registers through one peer's API, and runs a job for each request.

The query string of a request is JSON: `["flood", {"count": 1000, "window": 0, "pool": 0}]`; so is the answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from rig.bindings import bind
from rig.jobs import Sender, run
from rig.memory import Memory

_MEMORY = Memory()
_SENDER = Sender(bind(os.environ["BENCH_BINDING"], _MEMORY), _MEMORY)


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """The WSGI entry."""
    job, arguments = json.loads(environ["QUERY_STRING"])
    try:
        answer = json.dumps(run(job, _SENDER, arguments)).encode()
    except Exception as failure:  # noqa: BLE001 - the one who asked is told, whatever it was
        start_response("500 Failed", [])
        return [f"{type(failure).__name__}: {failure}".encode()]
    start_response("200 OK", [])
    return [answer]
