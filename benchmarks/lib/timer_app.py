"""The application whose timers are measured: BENCH_TICKS, a `Timers` in JSON, says which. Mule 1 runs their handlers.

A handler notes its signal and when it starts, in nanoseconds on the monotonic clock, as a record of the file
BENCH_RECORDS. What it took to declare the timers is in the file BENCH_DECLARED: seconds, and kilobytes of memory.
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
    """So many, of periods from `period` to nearly twice that (`spread`) or all alike, that raise so many signals."""

    count: int
    period: float
    spread: bool = False
    signals: int = 1
    coalesce: bool = True

    def period_of(self, number: int) -> float:
        """Seconds; numbers count from 0."""
        return self.period * (1 + number / self.count if self.spread else 1)


def resident_kb(pid: int | str = "self") -> int:
    """Memory of a process that is in RAM."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def application(_environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """uWSGI wants one."""
    start_response("204 No Content", [])
    return []


def _declare() -> None:
    timers = Timers(**json.loads(os.environ["BENCH_TICKS"]))
    records = os.open(os.environ["BENCH_RECORDS"], os.O_WRONLY | os.O_APPEND)

    def note(num: int) -> None:
        os.write(records, RECORD.pack(num, time.monotonic_ns()))

    declare = {"raw": _with_uwsgi, "heliograph": _with_heliograph}[os.environ["BENCH_BINDING"]]
    declare(timers, note)


def _with_uwsgi(timers: Timers, note: Callable[[int], None]) -> None:
    import uwsgi  # noqa: PLC0415 - exists within a server only

    for number in range(timers.count):
        uwsgi.register_signal(number, "mule1", note)
        uwsgi.add_timer(number, int(timers.period))


def _with_heliograph(timers: Timers, note: Callable[[int], None]) -> None:
    from heliograph import Signal  # noqa: PLC0415 - only its own servers pay for it
    from heliograph.runtime.scheduling import register_timer  # noqa: PLC0415

    signals = [Signal(number) for number in range(timers.signals)]
    for signal in signals:
        signal.register_handler("mule1")(note)
    memory, began = resident_kb(), time.monotonic()
    for number in range(timers.count):
        signal = signals[number % timers.signals]
        period = timers.period_of(number)
        register_timer(period, target=signal, name=f"t{number}", coalesce=timers.coalesce)(note)
    took = time.monotonic() - began
    Path(os.environ["BENCH_DECLARED"]).write_text(json.dumps([took, resident_kb() - memory]))


if "BENCH_TICKS" in os.environ:
    _declare()
