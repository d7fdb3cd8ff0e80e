"""Signals while receivers are killed and the server is reloaded: nothing lost, and at most one run again a kill.

Receivers send too, so senders are killed as well; the master and its template are not. Victims have lived for more
than a second: the successor of one that ends sooner is delayed, as in any crash loop. Exit code 0 if our own server
kept every promise; what uWSGI loses beside it is shown, and is no failure.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .checks import Line, lines, table
from .faults import FaultPlan, Progress, inject_faults, wait_until_stable
from .resources import Footprint, footprint
from .server import ENGINES, PATIENCE, Server, ServerExited
from .workload import SENDERS

GROWTH = 1024
"""kB that the master may have grown by: what its allocator has in reserve; a leak of 100 bytes a signal is more."""


class Report:
    """Tells how it went, and remembers what was promised and not kept."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self._told = 0.0

    def progress(self, weather: Progress) -> None:
        """A line every few seconds."""
        if time.monotonic() - self._told >= 5:
            self._told = time.monotonic()
            print(f"  {weather.sent} signals, {weather.kills} kills, {weather.reloads} reloads", flush=True)

    def check(self, what: str, *, kept: bool) -> None:
        """Print one promise, and whether it was kept."""
        print(f"  {'ok ' if kept else 'NOT'}  {what}")
        if not kept:
            self.broken.append(what)


def run(engine: str, storm: FaultPlan, report: Report) -> None:
    """One engine in the storm."""
    shown = "" if engine != "uwsgi" else ", to show what is lost there; it is no failure"
    print(f"\n{engine}: {storm.signals} signals, {storm.kills} kills, {storm.reloads} reloads{shown}", flush=True)
    with tempfile.TemporaryDirectory(prefix="heliograph-chaos-") as directory:
        with Server(engine, Path(directory), storm.rate / len(SENDERS)) as server:
            began = time.monotonic()
            weather = inject_faults(server, storm, report.progress)
            seconds = time.monotonic() - began
            wait_until_stable(server, PATIENCE)
            state = _await_empty(server)
            after = footprint([server.master])
            code = server.stop()
            left = server.left_behind()
        found = lines(server.history.sums())
        print(table(found))
        print(f"  {weather.sent} signals, {weather.kills} kills, {weather.reloads} reloads in {seconds:.1f} s")
        report.check("all of it happened", kept=weather.satisfies(storm))
        _judge(report, found, weather, state)
        _judge_the_end(report, weather.before, after, code, left)
        if report.broken and engine != "uwsgi":
            print(server.log[-5000:], file=sys.stderr)


def _await_empty(server: Server) -> dict[str, Any] | None:
    """Nothing waits, and nobody is missing."""
    deadline = time.monotonic() + PATIENCE
    while (state := server.state()) is not None and time.monotonic() < deadline:
        if state["complete"] and not state["queued"]:
            break
        time.sleep(0.1)
    return state


def _judge(report: Report, found: list[Line], weather: Progress, state: dict[str, Any] | None) -> None:
    lost, again = sum(line.lost for line in found), sum(line.again for line in found)
    interrupted = sum(line.interrupted for line in found)
    report.check(f"nothing lost: {lost}", kept=not lost)
    report.check(f"begun again at most once a kill: {again} of {weather.kills}", kept=again <= weather.kills)
    report.check(
        f"interrupted at most once a kill: {interrupted} of {weather.kills}", kept=interrupted <= weather.kills
    )
    if state is None:
        return
    rows = state["signals"]
    redelivered, dropped = (sum(row[key] for row in rows) for key in ("redelivered", "dropped"))
    waiting = state["queued"] + sum(row["queued"] for row in rows)
    report.check(f"nothing waits at the end: {waiting}", kept=not waiting)
    report.check(f"nothing set aside: {dropped}", kept=not dropped)
    report.check(
        f"given out again: {redelivered}, of which {redelivered - interrupted} had not begun or had ended",
        kept=interrupted <= redelivered <= weather.kills,
    )


def _judge_the_end(report: Report, before: Footprint, after: Footprint, code: int | None, left: list[int]) -> None:
    growth = after.rss - before.rss
    report.check(f"the master's memory: {before.rss} kB, then {after.rss} kB", kept=growth <= GROWTH)
    same = before.descriptors == after.descriptors
    report.check(f"its descriptors: {before.descriptors}, then {after.descriptors}", kept=same)
    report.check(f"the server's exit code: {code}", kept=code == 0)
    report.check(f"processes left behind: {len(left)}", kept=not left)


def main() -> int:
    """Read the command line and let it happen."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--engine", choices=(*ENGINES, "all"), default="all")
    parser.add_argument("--signals", type=int, default=200_000, metavar="N", help="at least (default: 200000)")
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="default: 200")
    parser.add_argument("--reloads", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--seconds", type=float, default=180.0, metavar="S", help="at most, an engine (default: 180)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    storm = FaultPlan(options.signals, options.kills, options.reloads, options.seconds)
    report = Report()
    try:
        for engine in ENGINES if options.engine == "all" else (options.engine,):
            try:
                run(engine, storm, report if engine != "uwsgi" else Report())
            except ServerExited as gone:
                report.check(f"{engine}: {gone}", kept=engine == "uwsgi")
    except KeyboardInterrupt:
        return 130
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
