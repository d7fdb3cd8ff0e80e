"""A process outside of the server that enqueues tasks until it gets SIGTERM: `python -m chaos.tasks.client`.

With the argument `hold` it enqueues one task that holds its process, and exits.
"""

from __future__ import annotations

import sys

from . import app
from .journal import HOLD


def main() -> None:
    """Run the command."""
    if sys.argv[1:] == ["hold"]:
        app.enqueue(app.hold, prefix=HOLD)
    else:
        app.send()


if __name__ == "__main__":
    main()
