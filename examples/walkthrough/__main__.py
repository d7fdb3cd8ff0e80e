"""Start a web example with its command, show what it does, and stop it.

The exit code is 0 if everything worked and the server exited cleanly, else 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .scripts import SCRIPTS
from .server import ExampleServer


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m examples.walkthrough", description=__doc__)
    parser.add_argument("example", choices=SCRIPTS, help="the example to run")
    script = SCRIPTS[parser.parse_args().example]
    with (
        tempfile.TemporaryDirectory(prefix="heliograph-walkthrough-") as directory,
        ExampleServer(Path(directory), script.working_directory) as server,
    ):
        if script.prepare:
            server.run(script.prepare)
        server.start(script.command)
        script.show(server)
        code = server.stop()
        print(f"stopped, exit code {code}")
        if code:
            print(f"\nThe log:\n{server.log}", file=sys.stderr)
    return int(code != 0)


if __name__ == "__main__":
    sys.exit(main())
