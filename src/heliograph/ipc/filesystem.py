"""The type of a file system, and the ones on which several processes cannot share a database."""

from __future__ import annotations

import ctypes
import os

from heliograph.exceptions import StoreError

UNSAFE = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFE534D42: "SMB2",
    0xFF534D42: "CIFS",
    0x01021997: "9p",
    0x65735546: "FUSE",
    0x0BD00BD0: "Lustre",
    0x00C36400: "Ceph",
    0x47504653: "GPFS",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x564C: "NCP",
    0x73757245: "Coda",
    0x786F4256: "VirtualBox shared folder",
    0xBACBACBC: "VMware shared folder",
}
"""Types without locks or shared memory that all processes see alike: magic number of `statfs(2)` -> name."""

IN_MEMORY = {0x01021994: "tmpfs", 0x858458F6: "ramfs"}
"""Types whose files are gone after a restart of the machine."""

_LIBC = ctypes.CDLL(None, use_errno=True)


def filesystem_type(path: str) -> int:
    """Return the magic number of the file system that has `path`. Raises: OSError: there is no such path."""
    buffer = ctypes.create_string_buffer(256)
    if _LIBC.statfs(os.fsencode(path), buffer) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF  # `f_type` is the first member


def check_filesystem(path: str, *, allow_any: bool = False) -> str | None:
    """Check that processes can share a store of tasks in `path`.

    Return a warning for people, or None.

    Raises:
        StoreError: The file system cannot lock. With `allow_any` that is a warning.
    """
    kind = filesystem_type(path)
    if kind in IN_MEMORY:
        return f"Tasks in {path} are lost when the machine restarts ({IN_MEMORY[kind]})"
    name = UNSAFE.get(kind)
    if name is None:
        return None
    if allow_any:
        return f"Tasks in {path} may be lost or damaged: {name} does not lock reliably"
    raise StoreError(
        f"cannot keep tasks in {path}: it is on {name}, which does not lock reliably. "
        "Use a local disk, or pass --any-fs at your own risk.",
        path,
    )
