"""The smallest application with a signal: worker 1 sends it as soon as it is forked, and mule 1 handles it.

Each process appends its role to the file BENCH_EVENTS, and mule 1 appends `handled`. A line has three fields: event,
process id, and nanoseconds on the monotonic clock.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from time import monotonic_ns
from typing import Any

_NUMBER = 17


def application(_environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """Answer 204. uWSGI needs a WSGI entry point."""
    start_response("204 No Content", [])
    return []


def _record(what: str) -> None:
    line = f"{what} {os.getpid()} {monotonic_ns()}\n"
    with open(os.environ["BENCH_EVENTS"], "a") as events:  # noqa: PTH123 - importing pathlib would dominate the cost
        events.write(line)


def _handle(_num: int) -> None:
    _record("handled")


def _with_uwsgi() -> None:
    import uwsgi  # noqa: PLC0415 - the module exists only inside uWSGI

    def hook() -> None:
        _start(uwsgi.worker_id(), lambda: uwsgi.signal(_NUMBER))

    uwsgi.register_signal(_NUMBER, "mule1", _handle)
    uwsgi.post_fork_hook = hook


def _with_heliograph() -> None:
    library = import_module("heliograph")
    platform = import_module("heliograph.runtime.platform").uwsgi
    signal = library.Signal(_NUMBER)
    signal.register_handler("mule1")(_handle)
    platform.postfork_hooks.add()(lambda: _start(platform.worker_id, signal.send))


def _start(worker: int, send: Callable[[], None]) -> None:
    _record("worker" if worker else "mule")
    if worker == 1:
        send()


{"raw": _with_uwsgi, "heliograph": _with_heliograph}[os.environ["BENCH_BINDING"]]()
