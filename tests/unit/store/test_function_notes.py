"""The note of the functions in the directory of a store on disk."""

import logging

import pytest

from heliograph._core.tasks.values import Rate, TaskLimits
from heliograph.store import function_notes


def test_an_equal_note_is_not_written_again(tmp_path):
    function_notes.write(str(tmp_path), {"a:b": "mule"})
    inode = (tmp_path / "functions").stat().st_ino
    function_notes.write(str(tmp_path), {"a:b": "mule"})
    assert (tmp_path / "functions").stat().st_ino == inode
    assert oct((tmp_path / "functions").stat().st_mode)[-3:] == "600"
    function_notes.write(str(tmp_path), {})
    assert function_notes.read(str(tmp_path)) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["functions"]


def test_limits_are_kept_of_functions_that_have_some(tmp_path):
    limits = {"a:b": TaskLimits(limit=2), "a:c": TaskLimits(rate=Rate(5, 60)), "a:d": TaskLimits()}
    function_notes.write(str(tmp_path), dict.fromkeys(limits, "mule"), limits)
    assert function_notes.read(str(tmp_path)) == dict.fromkeys(limits, "mule")
    del limits["a:d"]
    assert function_notes.read_limits(str(tmp_path)) == limits


@pytest.mark.parametrize(
    "text",
    [b'{"a:b": "mule"}', b'{"targets": 7}', b'{"limits": {"a:b": [[]]}}', b"", b"{", b"[1]", b"7", b"\xff", b"null"],
)
def test_a_damaged_note_is_none(tmp_path, text):
    (tmp_path / "functions").write_bytes(text)
    assert function_notes.read(str(tmp_path)) is None
    assert function_notes.read_limits(str(tmp_path)) == {}


def test_a_failure_is_logged(tmp_path, caplog):
    """A full disk must not end the process."""
    with caplog.at_level(logging.WARNING):
        function_notes.write(str(tmp_path / "missing"), {"a:b": "mule"})
    assert "Cannot note the functions of tasks in" in caplog.text
