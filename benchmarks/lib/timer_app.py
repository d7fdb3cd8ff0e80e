"""The application whose timers are measured. BENCH_TIMERS, a `Timers` as JSON, defines them. Mule 1 runs the handlers.

A handler appends its signal number and its start (nanoseconds, monotonic clock) to the file BENCH_RECORDS. The cost of
the registration, in seconds and kB, is in the file BENCH_REGISTRATION.
"""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORD = struct.Struct("<BQ")


@dataclass(frozen=True, slots=True)
class Timers:
    """`count` timers that send `signals` different signals.

    All periods are `period` seconds, or with `spread` from `period` to nearly twice that.
    """

    count: int
    period: float
    spread: bool = False
    signals: int = 1
    coalesce: bool = True

    def period_of(self, number: int) -> float:
        """Return the period of a timer in seconds. Numbers start at 0."""
        return self.period * (1 + number / self.count if self.spread else 1)


def resident_kb(pid: int | str = "self") -> int:
    """Return the resident set size of a process in kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def application(_environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """Answer 204. uWSGI needs a WSGI entry point."""
    start_response("204 No Content", [])
    return []


def _register() -> None:
    timers = Timers(**json.loads(os.environ["BENCH_TIMERS"]))
    records = os.open(os.environ["BENCH_RECORDS"], os.O_WRONLY | os.O_APPEND)

    def record(num: int) -> None:
        os.write(records, RECORD.pack(num, time.monotonic_ns()))

    register = {"raw": _with_uwsgi, "heliograph": _with_heliograph}[os.environ["BENCH_BINDING"]]
    register(timers, record)


def _with_uwsgi(timers: Timers, record: Callable[[int], None]) -> None:
    import uwsgi  # noqa: PLC0415 - the module exists only inside uWSGI

    for number in range(timers.count):
        uwsgi.register_signal(number, "mule1", record)
        uwsgi.add_timer(number, int(timers.period))


def _with_heliograph(timers: Timers, record: Callable[[int], None]) -> None:
    from heliograph import Signal, register_timer  # noqa: PLC0415 - other peers must not import it

    signals = [Signal(number) for number in range(timers.signals)]
    for signal in signals:
        signal.register_handler("mule1")(record)
    memory, start = resident_kb(), time.monotonic()
    for number in range(timers.count):
        signal = signals[number % timers.signals]
        period = timers.period_of(number)
        register_timer(period, target=signal, name=f"t{number}", coalesce=timers.coalesce)(record)
    seconds = time.monotonic() - start
    Path(os.environ["BENCH_REGISTRATION"]).write_text(json.dumps([seconds, resident_kb() - memory]))


if "BENCH_TIMERS" in os.environ:
    _register()
