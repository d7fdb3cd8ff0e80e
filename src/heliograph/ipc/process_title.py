"""The title of a process, as `ps` shows it."""

from __future__ import annotations

from setproctitle import setproctitle, setthreadtitle

SHORT_NAME = "heliograph"
"""The short name of a master, a fork server and a process that one has forked."""


def set_process_title(title: str) -> None:
    """Set the command line that `ps` shows, and the short name of the process.

    The short name has no space. Python 3.12 and later read the number of threads from `/proc/self/stat` before a fork,
    and take the wrong field if the short name holds a space: a process that runs under `nice` then warns that it has
    several threads.
    """
    # A path may hold bytes that are not UTF-8, or that the locale cannot decode. `setproctitle` encodes as UTF-8.
    setproctitle(title.encode(errors="surrogateescape").decode(errors="replace"))
    setthreadtitle(SHORT_NAME)
