"""Start a web example with its one command, show what it does, and stop it.

Exit code 0 if everything was as it should be and the server ended cleanly, else 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .scripts import SCRIPTS
from .server import ExampleServer


def main() -> int:
    """Read the command line and show the example."""
    parser = argparse.ArgumentParser(prog="python -m examples.walkthrough", description=__doc__)
    parser.add_argument("example", choices=SCRIPTS)
    tour = SCRIPTS[parser.parse_args().example]
    with (
        tempfile.TemporaryDirectory(prefix="heliograph-tour-") as directory,
        ExampleServer(Path(directory), tour.where) as site,
    ):
        if tour.prepare:
            site.run(tour.prepare)
        site.start(tour.command)
        tour.show(site)
        code = site.stop()
        print(f"stopped, exit code {code}")
        if code:
            print(f"\nThe log:\n{site.log}", file=sys.stderr)
    return int(code != 0)


if __name__ == "__main__":
    sys.exit(main())
