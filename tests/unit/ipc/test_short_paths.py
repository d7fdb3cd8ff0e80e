"""Short paths of Unix sockets, and a file in place of their directory."""

import socket

import pytest

from heliograph._core.tasks.values import NewTask
from heliograph.exceptions import StoreError
from heliograph.ipc.short_paths import short_path
from heliograph.store.sqlite import SqliteStore


def test_a_path_that_is_too_long_for_an_address_is_made_short(tmp_path):
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    with short_path(str(directory)) as short, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{short}/socket")
    assert (directory / "socket").is_socket()


def test_a_directory_that_is_missing_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError), short_path(str(tmp_path / "none")):
        pass


def test_waiting_with_a_file_in_place_of_the_directory_names_it(tmp_path):
    """`wait()` raises the error that its callers expect."""
    store = SqliteStore(str(tmp_path / "spool"), sync=False)
    try:
        [task] = store.enqueue([NewTask("a:b", "mule")], 1)
        waiters = tmp_path / "spool" / "waiters"
        waiters.write_text("")
        with pytest.raises(StoreError, match=rf"not a directory: {waiters}\. Remove the file there") as caught:
            store.when_finished(task.id, 10)
        assert caught.value.path == str(tmp_path / "spool")
        waiters.unlink()
        row = store.when_finished(task.id, 0.01)
        assert row is not None
        assert not row.status.is_finished
    finally:
        store.close()
