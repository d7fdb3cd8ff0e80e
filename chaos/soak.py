"""A server under load for long: what it uses at the end is what it used at the beginning.

Every minute the descriptors, memory and number of the master and of its children are printed. The first line is taken
when the load has run for a while: until then the children get pages of their own, which they shared with the template.
Exit code 0 if at the end nothing is lost, descriptors and processes are the same, and memory has not grown by more
than a stated bound.
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
from .resources import Footprint, footprint
from .server import PATIENCE, Server, ServerExited
from .workload import SENDERS

WARM = 20.0
"""Seconds of load before the first line."""
MASTER_GROWTH = 512
"""kB of RSS."""
GROWTH = 1024
"""kB of PSS for each process: arenas of an allocator whose threads send and handle; more is a leak."""


class Sample(NamedTuple):
    """What master and children use at one moment."""

    master: Footprint
    children: Footprint
    handled: int


def sample(server: Server) -> Sample:
    """As it is now. Raises `Gone` if the server has ended."""
    server.check()
    children = [pid for pid in server.left_behind() if pid != server.master]
    handled = sum(sums.finished for sums in server.history.sums().values())
    return Sample(footprint([server.master]), footprint(children), handled)


def show(minute: float, found: Sample) -> None:
    """One line of the table."""
    cells = (*found.master[1:], *found.children, found.handled)
    print(f"{minute:6.1f}" + "".join(f"{cell:>11}" for cell in cells), flush=True)


def watch(server: Server, minutes: float) -> tuple[Sample, Sample]:
    """Let it run, a line a minute; the first sample and the last."""
    titles = ("fds", "rss kB", "pss kB", "children", "fds", "rss kB", "pss kB", "handled")
    print("minute" + "".join(f"{title:>11}" for title in titles))
    time.sleep(min(WARM, minutes * 20))
    began = time.monotonic()
    first = last = sample(server)
    show(0, first)
    while (left := began + minutes * 60 - time.monotonic()) > 0:
        time.sleep(min(60.0, left))
        last = sample(server)
        show((time.monotonic() - began) / 60, last)
    return first, last


def failures(first: Sample, last: Sample) -> list[str]:
    """What is not at the end as it was at the beginning."""
    grown = {
        "descriptors of the master": (last.master.descriptors - first.master.descriptors, 0),
        "descriptors of its children": (last.children.descriptors - first.children.descriptors, 0),
        "processes": (last.children.processes - first.children.processes, 0),
        "kB of the master": (last.master.rss - first.master.rss, MASTER_GROWTH),
        "kB of its children": (last.children.pss - first.children.pss, GROWTH * first.children.processes),
    }
    said = [f"{growth:+d} {what}, at most {most:+d}" for what, (growth, most) in grown.items()]
    print("\n".join(said))
    # Of what must stay the same, less is wrong as well.
    return [line for line, (by, most) in zip(said, grown.values(), strict=True) if by > most or (by and not most)]


def main() -> int:
    """Read the command line and let it run."""
    parser = argparse.ArgumentParser(prog="python -m chaos.soak", description=__doc__)
    parser.add_argument("--engine", choices=("local", "gunicorn"), default="local", help="default: local")
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="default: 10")
    parser.add_argument("--rate", type=float, default=6000.0, metavar="N", help="signals a second (default: 6000)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="heliograph-soak-") as directory:
            broken = run(options.engine, Path(directory), options.minutes, options.rate)
    except ServerExited as gone:
        broken = [str(gone)]
    except KeyboardInterrupt:
        return 130
    for line in broken:
        print(f"NOT kept: {line}")
    return 1 if broken else 0


def run(engine: str, directory: Path, minutes: float, rate: float) -> list[str]:
    """The whole of it; what was not as promised."""
    with Server(engine, directory, rate / len(SENDERS)) as server:
        broken = failures(*watch(server, minutes))
        wait_until_stable(server, PATIENCE)
        code = server.stop()
        left = server.left_behind()
    found = lines(server.history.sums())
    lost, again = sum(line.lost for line in found), sum(line.again for line in found)
    print(f"lost {lost}, handled again {again}, exit code {code}, left behind {len(left)}")
    return broken + [text for text, bad in (("lost", lost), ("again", again), ("exit", code), ("left", left)) if bad]


if __name__ == "__main__":
    sys.exit(main())
