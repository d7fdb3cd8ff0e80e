"""Run a server under load and check that its resources do not grow.

Every minute it prints the descriptors and memory of the master and of its children, and the number of children. The
first line is printed after a warm-up, in which the children copy pages that they shared with the fork server. The exit
code is 0 if no signal was lost, the numbers of descriptors and processes are the same at the end as at the start, and
the memory grew by no more than a fixed limit.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .checks import lines
from .faults import wait_until_stable
from .resources import Usage, usage
from .server import TIMEOUT, Server, ServerExited
from .workload import SENDERS

WARM_UP = 20.0
"""Seconds of load before the first line."""
MAX_MASTER_GROWTH = 512
"""Limit for the RSS of the master in kB."""
MAX_GROWTH = 1024
"""Limit for the PSS per child in kB. The allocator has an arena for each thread that sends or handles."""


class Sample(NamedTuple):
    """Resources of the master and of its children, and the handled signals, at one moment."""

    master: Usage
    children: Usage
    handled: int


def sample(server: Server) -> Sample:
    """Return the current resources. Raises `ServerExited` if the server has exited."""
    server.check()
    children = [pid for pid in server.remaining() if pid != server.master]
    handled = sum(sums.finished for sums in server.history.sums().values())
    return Sample(usage([server.master]), usage(children), handled)


def show(minute: float, found: Sample) -> None:
    """Print one line of the table."""
    cells = (*found.master[1:], *found.children, found.handled)
    print(f"{minute:6.1f}" + "".join(f"{cell:>11}" for cell in cells), flush=True)


def watch(server: Server, minutes: float) -> tuple[Sample, Sample]:
    """Print a line every minute. Return the first and the last sample."""
    titles = ("fds", "rss kB", "pss kB", "children", "fds", "rss kB", "pss kB", "handled")
    print("minute" + "".join(f"{title:>11}" for title in titles))
    time.sleep(min(WARM_UP, minutes * 20))
    start = time.monotonic()
    first = last = sample(server)
    show(0, first)
    while (left := start + minutes * 60 - time.monotonic()) > 0:
        time.sleep(min(60.0, left))
        last = sample(server)
        show((time.monotonic() - start) / 60, last)
    return first, last


def failures(first: Sample, last: Sample) -> list[str]:
    """Return the resources that grew by more than their limit, and counts that changed."""
    grown = {
        "descriptors of the master": (last.master.descriptors - first.master.descriptors, 0),
        "descriptors of its children": (last.children.descriptors - first.children.descriptors, 0),
        "processes": (last.children.processes - first.children.processes, 0),
        "kB of the master": (last.master.rss - first.master.rss, MAX_MASTER_GROWTH),
        "kB of its children": (last.children.pss - first.children.pss, MAX_GROWTH * first.children.processes),
    }
    texts = [f"{growth:+d} {what} (limit {limit:+d})" for what, (growth, limit) in grown.items()]
    print("\n".join(texts))
    # A limit of 0 means that the count must not change: a decrease is a failure, too.
    return [text for text, (by, limit) in zip(texts, grown.values(), strict=True) if by > limit or (by and not limit)]


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m chaos.soak", description=__doc__)
    parser.add_argument(
        "--engine", choices=("local", "gunicorn"), default="local", help="server to test (default: local)"
    )
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="duration (default: 10)")
    parser.add_argument("--rate", type=float, default=6000.0, metavar="N", help="signals per second (default: 6000)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="heliograph-soak-") as directory:
            failed = run(options.engine, Path(directory), options.minutes, options.rate)
    except ServerExited as error:
        failed = [str(error)]
    except KeyboardInterrupt:
        return 130
    for line in failed:
        print(f"FAILED: {line}")
    return 1 if failed else 0


def run(engine: str, directory: Path, minutes: float, rate: float) -> list[str]:
    """Run the test and return the failed checks."""
    with Server(engine, directory, rate / len(SENDERS)) as server:
        failed = failures(*watch(server, minutes))
        wait_until_stable(server, TIMEOUT)
        code = server.stop()
        remaining = server.remaining()
    found = lines(server.history.sums())
    lost, again = sum(line.lost for line in found), sum(line.again for line in found)
    counts = {"lost": lost, "handled again": again, "exit code": code, "processes left": len(remaining)}
    texts = {f"{name}: {count}": count for name, count in counts.items()}
    print(", ".join(texts))
    return failed + [text for text, count in texts.items() if count != 0]


if __name__ == "__main__":
    sys.exit(main())
