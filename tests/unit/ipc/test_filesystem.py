"""File systems on which several processes cannot share a store of tasks."""

import pytest

from heliograph.exceptions import StoreError
from heliograph.ipc import filesystem
from heliograph.ipc.filesystem import check_filesystem, filesystem_type

NFS, SMB2, NINE_P, FUSE, OVERLAY, TMPFS, EXT4 = (
    0x6969,
    0xFE534D42,
    0x01021997,
    0x65735546,
    0x794C7630,
    0x01021994,
    0xEF53,
)


@pytest.fixture
def on(monkeypatch):
    """Pretend that every path is on a file system of a type."""

    def pretend(kind):
        monkeypatch.setattr(filesystem, "filesystem_type", lambda _: kind)

    return pretend


@pytest.mark.parametrize(("kind", "name"), [(NFS, "NFS"), (SMB2, "SMB2"), (NINE_P, "9p"), (FUSE, "FUSE")])
def test_a_file_system_that_cannot_lock_is_refused_by_name(on, kind, name):
    on(kind)
    with pytest.raises(StoreError, match=rf"cannot keep tasks in /spool: it is on {name}\b.*--any-fs"):
        check_filesystem("/spool")
    assert name in check_filesystem("/spool", allow_any=True)


@pytest.mark.parametrize("kind", [OVERLAY, EXT4])
def test_a_file_system_of_this_machine_is_taken(on, kind):
    on(kind)
    assert check_filesystem("/spool") is None


def test_memory_is_taken_with_a_warning(on):
    on(TMPFS)
    assert "lost when the machine restarts" in check_filesystem("/spool")


def test_the_type_comes_from_the_kernel(tmp_path):
    assert filesystem_type("/proc") == 0x9FA0
    assert filesystem_type(str(tmp_path)) not in filesystem.UNSAFE
    with pytest.raises(FileNotFoundError):
        filesystem_type("/no/such/path")
