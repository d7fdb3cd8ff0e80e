"""Start a server, send a signal to every kind of target, run tasks, and print which process did what.

The exit code is 0 if the expected process handled each signal, each task ran as it should and the server exited
cleanly, else 1.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
import time
from pathlib import Path

from heliograph import Farm

from .app import COMMANDS
from .cases import ALL, CASES, FROM_OUTSIDE
from .orders import Orders
from .reports import Outcome, Reports
from .server import Server
from .tasks import TASK_CASES


def run(engine: str, timeout: float, directory: Path) -> tuple[Outcome, Orders, str]:
    """Run the demo. Return its outcome, its tasks, and the log of the server."""
    outcome = Outcome()
    orders = Orders(directory)
    reports = Reports(directory, outcome)
    deadline = time.monotonic() + timeout
    with Server(engine, directory) as server:
        if reports.wait(server, deadline, "ready"):
            _send_all(directory, deadline)
            # Read reports while the other process sends: the kernel queues only ten, then handlers block.
            with server.send_from_outside(FROM_OUTSIDE.num) as sender:
                reports.wait(server, deadline, "complete")
                _, errors = sender.communicate()
            if sender.returncode:
                outcome.problems.append(f"heliograph send: {errors.strip()}")
            _run_tasks(orders, server, reports, outcome, deadline)
        else:
            outcome.problems.append("the server did not start")
        code = server.stop()
    if code:
        outcome.problems.append(f"the server exited with code {code}")
    reports.drain()  # reports of unexpected handlers have arrived by now
    reports.close()
    return outcome, orders, server.log()


def show(outcome: Outcome, orders: Orders) -> None:
    """Print a table of the signals and the processes that handled them, and one of the tasks."""
    print(f"{'signal':>6}  {'target':<20}  {'expected':<17}  {'handled by':<17}")
    for case in ALL:
        handled = sorted(outcome.handled[case.num])
        verdict = "ok" if case.correct(handled) else "WRONG" if case.complete(handled) else "MISSING"
        origin = "  (from another process)" if case is FROM_OUTSIDE else ""
        processes = " + ".join(handled) or "none"
        print(
            f"{case.num:>6}  {_format_target(case.target):<20}  {case.expected:<17}  {processes:<17}  {verdict}{origin}"
        )
    print("", *orders.lines(), "", sep="\n")
    for problem in outcome.problems:
        print(f"problem: {problem}")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--engine", default="local", help="engine for heliograph run (default: local)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="time limit (default: 60)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heliograph-demo-") as directory:
        outcome, orders, log = run(options.engine, options.timeout, Path(directory))
    show(outcome, orders)
    correct = f"{outcome.correct_cases()} of {len(ALL)} signals"
    print(f"{correct} were handled by the expected process (engine: {options.engine})")
    print(f"{orders.correct_tasks()} of {len(TASK_CASES)} tasks ran as expected")
    if outcome.correct() and orders.correct_tasks() == len(TASK_CASES):
        return 0
    print(f"\nThe server's log:\n{log}", file=sys.stderr)
    return 1


def _send_all(directory: Path, deadline: float) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as commands:
        commands.settimeout(max(1.0, deadline - time.monotonic()))
        for case in CASES:
            commands.sendto(str(case.num).encode(), str(directory / COMMANDS))


def _run_tasks(orders: Orders, server: Server, reports: Reports, outcome: Outcome, deadline: float) -> None:
    try:
        orders.run(server, reports, outcome, deadline)
    except (OSError, ValueError, RuntimeError) as error:
        outcome.problems.append(f"tasks: {error}")


def _format_target(target: object) -> str:
    if isinstance(target, Farm):
        return f"Farm({target.name!r})"
    return target if isinstance(target, str) and target else repr(target)


if __name__ == "__main__":
    sys.exit(main())
