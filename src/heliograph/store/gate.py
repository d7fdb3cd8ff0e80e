"""The gate: one process at a time writes to a store.

SQLite's own waiting starves processes for seconds, and several of its versions lose commits if a checkpoint of one
process meets a commit of another. So each commit and each checkpoint happens while this kernel lock is held.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from threading import get_ident
from types import TracebackType

from heliograph.exceptions import StoreError
from heliograph.store.signal_mask import SignalMask

GATE_TIMEOUT = 30.0
"""Seconds until a process gives up to wait for the one that holds the gate."""

_SLEEPS = (0.0, 0.0, 0.00002, 0.00002, 0.00005, 0.00005, 0.0001, 0.0002, 0.0005)
"""Seconds between attempts. The gate is held for some 50 microseconds, and `flock` knows no deadline."""

_MAX_SLEEP = 0.002

_MAIN_THREAD = threading.main_thread().ident


class Gate:
    """A context manager, for one thread of one process at a time. The same thread may enter it again."""

    def __init__(self, directory: str, timeout: float = GATE_TIMEOUT) -> None:
        # The lock is that of the directory, since a lock file could be removed while others hold it.
        self.fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.lock = threading.RLock()
        self.timeout = timeout
        self.depth = 0
        self._mask = SignalMask()
        self._directory = directory

    def __enter__(self) -> None:
        if not self.lock.acquire(timeout=self.timeout):
            raise self._stuck()
        try:
            if self.depth == 0:
                self._lock()
                if get_ident() == _MAIN_THREAD:
                    # The handler of a signal may raise an exception here, which would leave the gate locked. Other
                    # threads run no handlers.
                    self._mask.block()
            self.depth += 1
        except BaseException:
            self._unlock()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.depth -= 1
        if self.depth:
            self.lock.release()
        else:
            self._unlock()

    def _unlock(self) -> None:
        mask = self._mask
        was_blocking = mask.release()  # before another thread may enter
        try:
            fcntl.flock(self.fd, fcntl.LOCK_UN)
        finally:
            self.lock.release()
            if was_blocking:
                mask.restore()

    def forget(self) -> None:
        """Leave the gate in a forked child, which does not hold it, and close it."""
        if self._mask.release():
            self._mask.restore()
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + self.timeout
        turns = iter(_SLEEPS)
        while True:
            time.sleep(next(turns, _MAX_SLEEP))
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise self._stuck() from None
            else:
                return

    def _stuck(self) -> StoreError:
        return StoreError(
            f"tasks in {self._directory} are locked by {self.holder()} for more than {self.timeout:g} s. "
            "If it is stopped, continue or kill it.",
            self._directory,
        )

    def holder(self) -> str:
        """Return the process that holds the gate, for people."""
        inode = f":{os.fstat(self.fd).st_ino} "
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            if inode in line and "FLOCK" in line and "->" not in line:
                pid = line.split()[4]
                return f"process {pid}" if int(pid) > 0 else "a process of another container"
        return "another thread of this process"

    def close(self) -> None:
        """Close the directory. A forked child has to, since it would hold the lock for its dead parent."""
        os.close(self.fd)
