"""The pipes of a server: one for each queue, of records, and none left open when they cannot all be made."""

import os
from pathlib import Path

import pytest

from heliograph._core.signals.records import Record, encode
from heliograph.ipc import pipes as module
from heliograph.ipc.pipes import MIN_PIPE_BYTES, has_space, make_pipes, queued_records, server_queues
from heliograph.models import FarmSpec, Queue, Topology

SERVER = Topology(workers=2, mules=1, farms=(FarmSpec("a", (1,)),), spoolers=2)


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def pipes():
    made = make_pipes(SERVER)
    yield made
    for fd in (fd for pipe in made for fd in pipe):
        os.close(fd)


def test_each_queue_has_a_pipe(pipes):
    """In the order of the queues, each spooler with one of its own, none inherited by programs, none blocking."""
    queues = server_queues(SERVER)
    assert len(pipes) == len(queues) == len(set(queues))
    assert queues[-2:] == (Queue("spooler", 1), Queue("spooler", 2))
    for fd in (fd for pipe in pipes for fd in pipe):
        assert not os.get_inheritable(fd)
        assert not os.get_blocking(fd)


def test_records_in_a_pipe_are_counted(pipes):
    """Whole records, while they are in it."""
    read, write = pipes[0]
    assert queued_records(read) == 0
    for num in range(3):
        os.write(write, encode(Record(num, 0)))
    assert queued_records(read) == 3
    os.read(read, len(encode(Record(0, 0))))
    assert queued_records(read) == 2
    assert queued_records(pipes[1][0]) == 0


def test_a_full_pipe_has_no_space(pipes):
    """It has space again when a process has read from it."""
    read, write = pipes[0]
    written = 0
    while has_space(write):
        written += os.write(write, bytes(4096))
    assert written >= MIN_PIPE_BYTES
    with pytest.raises(BlockingIOError):
        os.write(write, bytes(16))
    while queued_records(read):
        os.read(read, 65_536)
    assert has_space(write)


def test_pipes_that_cannot_all_be_made_leave_none_open(monkeypatch):
    """The error is the kernel's, and no descriptor is left."""
    before = open_descriptors()
    made = []
    make = module._make_pipe

    def make_two(size):
        if len(made) == 2:
            raise OSError(24, "Too many open files")
        made.append(make(size))
        return made[-1]

    monkeypatch.setattr(module, "_make_pipe", make_two)
    with pytest.raises(OSError, match="Too many open files"):
        make_pipes(SERVER)
    assert len(made) == 2
    assert open_descriptors() == before
