"""Start a server, raise a signal to every kind of target, and print who handled what.

Exit code 0 if each signal was handled by whom it should be and the server ended cleanly, else 1.
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
from .reports import Outcome, Reports
from .server import Server


def run(engine: str, patience: float, directory: Path) -> tuple[Outcome, str]:
    """The whole demo; what came back, and the server's log."""
    outcome = Outcome()
    reports = Reports(directory, outcome)
    deadline = time.monotonic() + patience
    with Server(engine, directory) as server:
        if reports.wait(server, deadline, "ready"):
            _raise_all(directory, deadline)
            # Reports are taken in while the other process sends: the kernel holds only ten, then handlers wait.
            with server.send_from_outside(FROM_OUTSIDE.num) as sender:
                reports.wait(server, deadline, "complete")
                _, said = sender.communicate()
            if sender.returncode:
                outcome.problems.append(f"heliograph send: {said.strip()}")
        else:
            outcome.problems.append("the server did not come up")
        code = server.stop()
    if code:
        outcome.problems.append(f"the server ended with exit code {code}")
    reports.drain()  # whoever handled a signal that was not his has said so by now
    reports.close()
    return outcome, server.log()


def show(outcome: Outcome) -> None:
    """Print the table of who handled what."""
    print(f"{'signal':>6}  {'target':<20}  {'expected':<17}  {'handled by':<17}")
    for case in ALL:
        handled = sorted(outcome.handled[case.num])
        verdict = "ok" if case.correct(handled) else "WRONG" if case.complete(handled) else "MISSING"
        origin = "  (from another process)" if case is FROM_OUTSIDE else ""
        who = " + ".join(handled) or "nobody"
        print(f"{case.num:>6}  {_spelled(case.target):<20}  {case.expected:<17}  {who:<17}  {verdict}{origin}")
    for problem in outcome.problems:
        print(f"problem: {problem}")


def main() -> int:
    """Read the command line and run the demo."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--engine", default="local", help="as for heliograph run (default: local)")
    parser.add_argument("--patience", type=float, default=60.0, metavar="S", help="seconds for all of it (default: 60)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heliograph-demo-") as directory:
        outcome, log = run(options.engine, options.patience, Path(directory))
    show(outcome)
    if outcome.correct():
        print(f"{len(ALL)} signals, each handled by whom it should be, on engine {options.engine}")
        return 0
    print(f"\nThe server's log:\n{log}", file=sys.stderr)
    return 1


def _raise_all(directory: Path, deadline: float) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as commands:
        commands.settimeout(max(1.0, deadline - time.monotonic()))
        for case in CASES:
            commands.sendto(str(case.num).encode(), str(directory / COMMANDS))


def _spelled(target: object) -> str:
    if isinstance(target, Farm):
        return f"Farm({target.name!r})"
    return target if isinstance(target, str) and target else repr(target)


if __name__ == "__main__":
    sys.exit(main())
