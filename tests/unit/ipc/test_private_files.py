"""Files that only their owner may use, and that are replaced at once."""

import stat

import pytest

from heliograph.ipc.private_files import replace_private_file


def test_a_replaced_file_is_private_and_leaves_no_draft(tmp_path):
    path = tmp_path / "note"
    path.write_bytes(b"old")
    path.chmod(0o644)
    replace_private_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_stays_and_leaves_no_draft(tmp_path):
    path = tmp_path / "note"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        replace_private_file(path, b"new")
    assert list(tmp_path.iterdir()) == [path]
