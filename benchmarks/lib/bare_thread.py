"""The limit for signals to web workers: a thread that reads one pipe and calls a function, without heliograph.

Each worker calls `start`, which makes a pipe with a name. `python -m lib.bare_thread FOLDER RATE SECONDS` writes
records to all of them at a fixed rate, as the mule of `lib.web_app` sends signals.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RECORD_BYTES = 16

_WORK, _REPORT = bytes(RECORD_BYTES), b"\1" * RECORD_BYTES
"""Records: call the function, and write the number of calls to a file."""
_READ_BYTES = 1024
"""Bytes of one read, as of a heliograph process."""


def start(folder: Path, function: Callable[[], object]) -> None:
    """Call a function for each record, in a thread of this process, or in a greenlet if gevent has replaced threads."""
    path = folder / f"pipe-{os.getpid()}"
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # with a writer of its own it never ends
    threading.Thread(target=_receive, args=(fd, path, function), daemon=True).start()


def _receive(fd: int, path: Path, function: Callable[[], object]) -> None:
    wait = _waiting_on_the_hub(fd) if _is_patched() else None
    os.set_blocking(fd, wait is None)
    calls = 0
    while True:
        if wait is not None:
            wait()
        data = os.read(fd, _READ_BYTES)
        for place in range(0, len(data), RECORD_BYTES):
            if data[place]:
                _report(path, calls)
            else:
                function()
                calls += 1


def _report(path: Path, calls: int) -> None:
    new = path.with_name(f".calls-{path.name}")
    new.write_text(str(calls))
    new.rename(path.with_name(f"calls-{path.name}"))


def _is_patched() -> bool:
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _waiting_on_the_hub(fd: int) -> Callable[[], object]:
    hub: Any = importlib.import_module("gevent").get_hub()  # only in a process that uses it
    watcher = hub.loop.io(fd, 1)
    return lambda: hub.wait(watcher)


def main() -> None:
    """Write records to all pipes, then ask for the numbers of calls."""
    folder, rate, seconds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    pipes = [os.open(path, os.O_WRONLY) for path in folder.glob("pipe-*")]
    begin = time.monotonic()
    for number in range(rate * seconds):
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        for pipe in pipes:
            os.write(pipe, _WORK)
    for pipe in pipes:
        os.write(pipe, _REPORT)


if __name__ == "__main__":
    main()
