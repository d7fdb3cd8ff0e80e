"""Send signals while processes are killed and the server reloads, and check that no signal is lost.

Receivers also send, so senders are killed as well. In the meantime the surroundings of the server fail, see
`chaos.surroundings`. At the end SIGTERM stops all processes of the server at once, with signals in their queues, and
with gunicorn the master only. The master and the fork server are not killed. A process is killed
only when it is older than a second, because the master delays the replacement of younger ones. The exit code is 0 if
the heliograph server passed all checks. uWSGI is run for comparison, and its losses do not count as failures.

With `--tasks` it enqueues tasks instead, and kills the master and the fork server, too. See `chaos.tasks`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import stat
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from .checks import Line, lines, table
from .faults import FaultPlan, Progress, inject_faults, wait_until_stable
from .report import Report
from .resources import Usage, usage
from .server import ENGINES, TIMEOUT, Server, ServerExited
from .tasks.command import add_options, run_tasks
from .tasks.volume import enter_namespace
from .workload import SENDERS

MAX_GROWTH = 1024
"""Limit for the growth of the master in kB: reserves of the allocator. A leak of 100 bytes per signal exceeds it."""

PLAIN_USER, MAY_READ = 64200, "-all,+dac_override,+dac_read_search"
"""A user without other processes, and what it keeps of the rights of root, to read this program."""

LOAD_BEFORE_STOP = 0.5
"""Seconds of load before the server is stopped with signals in its queues."""


def run(engine: str, plan: FaultPlan, report: Report) -> None:
    """Run the plan on one engine."""
    note = "" if engine != "uwsgi" else " (for comparison, losses are not failures)"
    print(f"\n{engine}: {plan.signals} signals, {_faults(plan)}{note}", flush=True)
    with tempfile.TemporaryDirectory(prefix="heliograph-chaos-") as directory:
        with Server(engine, Path(directory), plan.rate / len(SENDERS)) as server:
            start = time.monotonic()
            progress = inject_faults(
                server, plan, lambda progress: report.progress(f"{progress.sent} signals, {_faults(progress)}")
            )
            seconds = time.monotonic() - start
            wait_until_stable(server, TIMEOUT)
            state = _wait_until_idle(server)
            after = usage([server.master])
            code = server.stop() if engine == "uwsgi" else _stop_under_load(server, group=engine == "local")
            remaining = server.remaining()
        found = lines(server.history.sums())
        print(table(found))
        print(f"  {progress.sent} signals, {_faults(progress)} in {seconds:.1f} s")
        print(f"  {progress.kinds}")
        report.check("plan complete", passed=progress.satisfies(plan))
        _check_signals(report, found, progress, state)
        _check_resources(report, progress.before, after, code, remaining)
        if report.failed and engine != "uwsgi":
            print(server.log[-5000:], file=sys.stderr)


def _stop_under_load(server: Server, *, group: bool) -> int | None:
    """Stop the server while signals are queued: with SIGTERM to all of its processes, or to the master."""
    mules = [record for name, record in server.history.newest().items() if name.startswith("mule")]
    for mule in mules:
        server.send_unix_signal(mule, signal.SIGSTOP)
    server.resume_senders()
    time.sleep(LOAD_BEFORE_STOP)
    server.stop_senders()
    server.request_stop(group=group)
    for mule in mules:
        server.send_unix_signal(mule, signal.SIGCONT)
    return server.wait()


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
    ends = progress.kills + progress.surroundings  # a fault of the surroundings ends one process at most
    report.check(f"signals lost: {lost}", passed=not lost)
    report.check(f"handlers run again: {again} (at most one per fault, {ends})", passed=again <= ends)
    report.check(
        f"handlers interrupted: {interrupted} (at most one per fault, {ends})",
        passed=interrupted <= ends,
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
        passed=interrupted <= redelivered <= ends,
    )


def _faults(counts: FaultPlan | Progress) -> str:
    return f"{counts.kills} kills, {counts.reloads} reloads, {counts.surroundings} faults of the surroundings"


def _check_resources(report: Report, before: Usage, after: Usage, code: int | None, remaining: list[int]) -> None:
    growth = after.rss - before.rss
    report.check(f"memory of the master: {before.rss} kB, then {after.rss} kB", passed=growth <= MAX_GROWTH)
    same = before.descriptors == after.descriptors
    report.check(f"descriptors of the master: {before.descriptors}, then {after.descriptors}", passed=same)
    report.check(f"exit code: {code}", passed=code == 0)
    report.check(f"processes left: {len(remaining)}", passed=not remaining)


def _give_up_root() -> None:
    """Replace this program by itself without the rights of root, since a limit of processes does not bind root.

    It stays root where another user cannot reach its files: such a user would find no command of a web server.
    """
    if os.getuid() or shutil.which("setpriv") is None:
        return
    places = (*Path(sys.executable).absolute().parents, *Path(__file__).absolute().parents)
    if not all(place.stat().st_mode & stat.S_IXOTH for place in places):
        return
    user = ["setpriv", f"--reuid={PLAIN_USER}", "--clear-groups"]
    rights = [f"--{kind}={MAY_READ}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    os.execvp("setpriv", [*user, *rights, sys.executable, "-m", "chaos", *sys.argv[1:]])  # noqa: S606, S607 - ourselves


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument(
        "--engine", choices=(*ENGINES, "all"), help=f"server to test (default: all, for tasks {ENGINES[0]})"
    )
    parser.add_argument(
        "--signals", type=int, default=200_000, metavar="N", help="minimum number of signals (default: 200000)"
    )
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="number of kills (default: 200)")
    parser.add_argument("--reloads", type=int, default=5, metavar="N", help="number of reloads (default: 5)")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="time limit per engine (default: 180, for tasks 900)"
    )
    parser.add_argument(
        *("--surroundings",),
        type=int,
        default=40,
        metavar="N",
        help="number of limits, full disks and the like, not on uWSGI (default: 40)",
    )
    add_options(parser)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.tasks is not None:
        enter_namespace()
        return run_tasks(options)
    _give_up_root()
    plan = FaultPlan(options.signals, options.kills, options.reloads, options.seconds or 180.0, options.surroundings)
    report = Report()
    try:
        for engine in ENGINES if options.engine in {None, "all"} else (options.engine,):
            try:
                if engine == "uwsgi":
                    run(engine, replace(plan, surroundings=0), Report())
                else:
                    run(engine, plan, report)
            except ServerExited as error:
                report.check(f"{engine}: {error}", passed=engine == "uwsgi")
    except KeyboardInterrupt:
        return 130
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
