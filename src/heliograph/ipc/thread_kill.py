"""`tgkill(2)`, which `os` and `signal` lack: send a Unix signal to one thread of another process."""

from __future__ import annotations

import ctypes
import os
import platform

_LIBC = ctypes.CDLL(None, use_errno=True)
_NUMBERS = {"x86_64": 234, "aarch64": 131, "riscv64": 131, "loongarch64": 131, "ppc64le": 250, "s390x": 241}
"""Number of the system call by machine, for C libraries without the function."""


def kill_thread(pid: int, thread: int, signum: int) -> None:
    """Send a signal to a thread of a process.

    Raises:
        ProcessLookupError: There is no such thread.
        PermissionError: It belongs to another user.
        OSError: The kernel refuses it for another reason, or this machine is not known.
    """
    if hasattr(_LIBC, "tgkill"):
        failed = _LIBC.tgkill(pid, thread, signum)
    else:
        failed = _LIBC.syscall(_NUMBERS.get(platform.machine(), -1), pid, thread, signum)
    if failed:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
