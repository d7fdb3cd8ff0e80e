"""The files through which the processes of a server tell the master where their threads are.

How it works
    The master makes a file in memory (`memfd`) for each process, and the process inherits it. A thread that gets
    `STACK_SIGNAL` lets `faulthandler` write its own stack there. That happens in the handler of the Unix signal itself,
    in C, so it works while Python code cannot run, and it does not stop the process.

    Each thread is asked for its own stack. `faulthandler` can also write those of all threads. But it reads them while
    they run, and if they do, the process crashes after some dozens of times (CPython 3.11 to 3.13).

    The file begins with a header, in which the process says that it answers, by which descriptor, or that it cannot.
    Both processes share the position in the file, so the master sets it before it asks. A write to the file never
    waits, whatever the master does.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
from dataclasses import dataclass
from typing import Any, cast

from heliograph._core.tolerant_logging import tolerant_logger

_LOG = tolerant_logger("heliograph.local")

STACK_SIGNAL: int = signal.SIGRTMAX - 1
"""Lets a thread write its stack. A real-time signal, since applications use SIGUSR1 and SIGUSR2."""

HEADER_BYTES = 128

_TAKEN = (
    "`heliograph stack` does not work in process %d: the application handles Unix signal %d itself. Use another number "
    "there"
)


@dataclass(frozen=True, slots=True)
class Header:
    """The statement of a process about itself."""

    pid: int = 0
    """Process id. 0: no process has said anything yet."""
    fd: int = -1
    """Its descriptor of the file."""
    is_taken: bool = False
    """True if the application handles the Unix signal itself."""


def make_stack_file() -> int:
    """Return the descriptor of a new file. Raises: OSError: no descriptor or memory is available."""
    return os.memfd_create("heliograph-stack", os.MFD_CLOEXEC)


def stack_name(process: object) -> str:
    """Return the name of a process's file among the descriptors that the master passes on."""
    return f"{process}.stack"


def answer_stack_requests(fd: int | None) -> None:
    """Let this process write its stacks to a file when it gets `STACK_SIGNAL`. None: it has no file.

    Call it again when the application was loaded, which may have taken the signal.
    """
    if fd is None:
        return
    try:
        was_taken = read_header(fd).is_taken
        # None: code in C handles it. `faulthandler` is such code, but Python does not learn of its handler.
        is_taken = signal.getsignal(STACK_SIGNAL) is not signal.SIG_DFL
        if is_taken and not was_taken:
            _LOG.warning(_TAKEN, os.getpid(), STACK_SIGNAL)
        if not is_taken:
            faulthandler.register(STACK_SIGNAL, file=fd, all_threads=False, chain=False)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (STACK_SIGNAL,))
        _write_header(fd, Header(os.getpid(), fd, is_taken))
    except OSError as error:  # the application has closed the descriptor
        _LOG.warning("`heliograph stack` does not work in process %d: %s", os.getpid(), error)


def read_header(fd: int) -> Header:
    """Return the statement of the process about itself."""
    try:
        facts: Any = json.loads(os.pread(fd, HEADER_BYTES, 0) or b"{}")
        return Header(**cast("dict[str, Any]", facts))
    except (ValueError, TypeError):  # it is being written
        return Header()


def clear(fd: int) -> None:
    """Remove the stack, and let the next one begin behind the header. No thread may be writing."""
    os.ftruncate(fd, HEADER_BYTES)
    os.lseek(fd, HEADER_BYTES, os.SEEK_SET)


def size_of_stack(fd: int) -> int:
    """Return the number of bytes behind the header."""
    return max(0, os.fstat(fd).st_size - HEADER_BYTES)


def read_stack(fd: int, most: int) -> str:
    """Return the first bytes of the stack, as text."""
    return os.pread(fd, most, HEADER_BYTES).decode(errors="replace")


def own_stack(most: int) -> str:
    """Return the stack of the thread that calls this."""
    fd = make_stack_file()
    try:
        os.lseek(fd, HEADER_BYTES, os.SEEK_SET)
        faulthandler.dump_traceback(fd, all_threads=False)
        return read_stack(fd, most)
    finally:
        os.close(fd)


def _write_header(fd: int, header: Header) -> None:
    facts = {"pid": header.pid, "fd": header.fd, "is_taken": header.is_taken}
    os.pwrite(fd, json.dumps(facts).encode().ljust(HEADER_BYTES - 1) + b"\n", 0)
