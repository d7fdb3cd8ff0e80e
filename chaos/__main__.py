"""Send signals while processes are killed and the server reloads, and check that no signal is lost.

Receivers also send, so senders are killed as well. The master and the fork server are not killed. A process is killed
only when it is older than a second, because the master delays the replacement of younger ones. The exit code is 0 if
the heliograph server passed all checks. uWSGI is run for comparison, and its losses do not count as failures.
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
from .resources import Usage, usage
from .server import ENGINES, TIMEOUT, Server, ServerExited
from .workload import SENDERS

MAX_GROWTH = 1024
"""Limit for the growth of the master in kB: reserves of the allocator. A leak of 100 bytes per signal exceeds it."""


class Report:
    """Print progress and checks, and keep the failed checks."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self._printed_at = 0.0

    def progress(self, progress: Progress) -> None:
        """Print a line every five seconds."""
        if time.monotonic() - self._printed_at >= 5:
            self._printed_at = time.monotonic()
            print(f"  {progress.sent} signals, {progress.kills} kills, {progress.reloads} reloads", flush=True)

    def check(self, what: str, *, passed: bool) -> None:
        """Print a check and its result."""
        print(f"  {'ok    ' if passed else 'FAILED'}  {what}")
        if not passed:
            self.failed.append(what)


def run(engine: str, plan: FaultPlan, report: Report) -> None:
    """Run the plan on one engine."""
    note = "" if engine != "uwsgi" else " (for comparison, losses are not failures)"
    print(f"\n{engine}: {plan.signals} signals, {plan.kills} kills, {plan.reloads} reloads{note}", flush=True)
    with tempfile.TemporaryDirectory(prefix="heliograph-chaos-") as directory:
        with Server(engine, Path(directory), plan.rate / len(SENDERS)) as server:
            start = time.monotonic()
            progress = inject_faults(server, plan, report.progress)
            seconds = time.monotonic() - start
            wait_until_stable(server, TIMEOUT)
            state = _wait_until_idle(server)
            after = usage([server.master])
            code = server.stop()
            remaining = server.remaining()
        found = lines(server.history.sums())
        print(table(found))
        print(f"  {progress.sent} signals, {progress.kills} kills, {progress.reloads} reloads in {seconds:.1f} s")
        report.check("plan complete", passed=progress.satisfies(plan))
        _check_signals(report, found, progress, state)
        _check_resources(report, progress.before, after, code, remaining)
        if report.failed and engine != "uwsgi":
            print(server.log[-5000:], file=sys.stderr)


def _wait_until_idle(server: Server) -> dict[str, Any] | None:
    """Wait until no signal is queued and all processes run. Return the state of the server."""
    deadline = time.monotonic() + TIMEOUT
    while (state := server.state()) is not None and time.monotonic() < deadline:
        if state["complete"] and not state["queued"]:
            break
        time.sleep(0.1)
    return state


def _check_signals(report: Report, found: list[Line], progress: Progress, state: dict[str, Any] | None) -> None:
    lost, again = sum(line.lost for line in found), sum(line.again for line in found)
    interrupted = sum(line.interrupted for line in found)
    report.check(f"signals lost: {lost}", passed=not lost)
    report.check(
        f"handlers run again: {again} (at most one per kill, {progress.kills})", passed=again <= progress.kills
    )
    report.check(
        f"handlers interrupted: {interrupted} (at most one per kill, {progress.kills})",
        passed=interrupted <= progress.kills,
    )
    if state is None:
        return
    rows = state["signals"]
    redelivered, dropped = (sum(row[key] for row in rows) for key in ("redelivered", "dropped"))
    queued = state["queued"] + sum(row["queued"] for row in rows)
    report.check(f"signals queued at the end: {queued}", passed=not queued)
    report.check(f"signals dropped: {dropped}", passed=not dropped)
    report.check(
        f"signals redelivered: {redelivered}, {redelivered - interrupted} of them not started or already finished",
        passed=interrupted <= redelivered <= progress.kills,
    )


def _check_resources(report: Report, before: Usage, after: Usage, code: int | None, remaining: list[int]) -> None:
    growth = after.rss - before.rss
    report.check(f"memory of the master: {before.rss} kB, then {after.rss} kB", passed=growth <= MAX_GROWTH)
    same = before.descriptors == after.descriptors
    report.check(f"descriptors of the master: {before.descriptors}, then {after.descriptors}", passed=same)
    report.check(f"exit code: {code}", passed=code == 0)
    report.check(f"processes left: {len(remaining)}", passed=not remaining)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--engine", choices=(*ENGINES, "all"), default="all", help="server to test (default: all)")
    parser.add_argument(
        "--signals", type=int, default=200_000, metavar="N", help="minimum number of signals (default: 200000)"
    )
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="number of kills (default: 200)")
    parser.add_argument("--reloads", type=int, default=5, metavar="N", help="number of reloads (default: 5)")
    parser.add_argument(
        "--seconds", type=float, default=180.0, metavar="S", help="time limit per engine (default: 180)"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan = FaultPlan(options.signals, options.kills, options.reloads, options.seconds)
    report = Report()
    try:
        for engine in ENGINES if options.engine == "all" else (options.engine,):
            try:
                run(engine, plan, report if engine != "uwsgi" else Report())
            except ServerExited as error:
                report.check(f"{engine}: {error}", passed=engine == "uwsgi")
    except KeyboardInterrupt:
        return 130
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
