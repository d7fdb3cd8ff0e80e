"""Fork a process that is no child of this one, so that the kernel gives it to the subreaper.

A process between the two, which exits at once, makes that so. `os.fork` twice would run the functions of
`os.register_at_fork` twice, and the second fork would copy a process in which they may have started threads. Here they
run once: the interpreter is told of one fork (`PyOS_BeforeFork` and its counterparts in the C API) around two of the C
library. That is safe only if no other thread can ask for the interpreter's lock. If the application has started one,
`os.fork` is called twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Generator
from typing import NoReturn

_INTERPRETER = ctypes.pythonapi
for _function in ("PyOS_BeforeFork", "PyOS_AfterFork_Parent", "PyOS_AfterFork_Child"):
    getattr(_INTERPRETER, _function).restype = None
_LIBC = ctypes.PyDLL(None, use_errno=True)
"""The C library, called with the interpreter's lock held."""

_FAILED = b"-"


def fork_to_subreaper() -> int:
    """Return the process id of the new process, or 0 in it. Raises: OSError: a fork failed."""
    read, write = os.pipe()
    with _without_garbage_collection():
        try:
            child = _fork_twice(write)
        except OSError:
            os.close(read)
            os.close(write)
            raise
    os.close(write)
    if not child:
        os.close(read)
        return 0
    text = os.read(read, 32)
    os.close(read)
    with contextlib.suppress(ChildProcessError):  # The application ignores SIGCHLD, or reaps all children.
        os.waitpid(child, 0)
    if not text or text == _FAILED:
        raise OSError("too many processes, or not enough memory")
    return int(text)


def _fork_twice(write: int) -> int:
    """Return the process id of the process between, or 0 in the new process."""
    if len(sys._current_frames()) > 1:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - threads that C code began too
        return _fork_twice_by_interpreter(write)
    sys.audit("os.fork")
    _INTERPRETER.PyOS_BeforeFork()
    # The interpreter's own locks are held from here on, so this does as little as possible.
    child = _fork()
    if child:
        error = ctypes.get_errno()
        _INTERPRETER.PyOS_AfterFork_Parent()
        if child < 0:
            raise OSError(error, os.strerror(error))
        return child
    if grandchild := _fork():
        _leave(write, grandchild)
    _INTERPRETER.PyOS_AfterFork_Child()
    return 0


def _fork_twice_by_interpreter(write: int) -> int:
    if child := os.fork():
        return child
    grandchild = -1
    with contextlib.suppress(OSError):
        grandchild = os.fork()
    if grandchild:
        _leave(write, grandchild)
    return 0


def _leave(write: int, grandchild: int) -> NoReturn:
    """Exit the process between, after it has named the new process. -1: there is none."""
    try:
        os.write(write, b"%d" % grandchild if grandchild > 0 else _FAILED)
    finally:
        os._exit(0)


def _fork() -> int:
    return int(_LIBC.fork())


@contextlib.contextmanager
def _without_garbage_collection() -> Generator[None]:
    """Run no finalizer of the application while the interpreter's locks are held."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
