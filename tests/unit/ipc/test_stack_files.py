"""The files through which processes say where their threads are."""

import faulthandler
import os
import signal

import pytest

from heliograph._core.thread_stacks import parse_stack
from heliograph.ipc.stack_files import (
    HEADER_BYTES,
    STACK_SIGNAL,
    Header,
    answer_stack_requests,
    clear,
    make_stack_file,
    own_stack,
    read_header,
    read_stack,
    size_of_stack,
)
from heliograph.ipc.time_limit import LIMIT_SIGNAL


@pytest.fixture
def fd():
    fd = make_stack_file()
    yield fd
    os.close(fd)


@pytest.fixture
def free_signal():
    """Leave the signal as it was before the test."""
    before = signal.getsignal(STACK_SIGNAL)
    yield
    faulthandler.unregister(STACK_SIGNAL)
    signal.signal(STACK_SIGNAL, before)


def test_the_signal_is_none_that_others_use():
    """A real-time signal, and not that of the time limits."""
    assert signal.SIGRTMIN < STACK_SIGNAL < LIMIT_SIGNAL


def test_a_process_that_has_said_nothing(fd):
    """Neither has one that is writing its header, or that has written something else there."""
    assert read_header(fd) == Header()
    for text in (b'{"pid": 3, "fd"', b'{"other": 1}', b"[]", b"\xff" * HEADER_BYTES):
        os.ftruncate(fd, 0)
        os.pwrite(fd, text, 0)
        assert read_header(fd) == Header()


def test_a_process_answers(fd, free_signal):
    """The handler writes the frames of its thread behind the header, where the master has set the position."""
    answer_stack_requests(fd)
    assert read_header(fd) == Header(os.getpid(), fd)
    for _ in range(2):
        clear(fd)
        assert size_of_stack(fd) == 0
        signal.raise_signal(STACK_SIGNAL)
        stack = parse_stack("", "", read_stack(fd, 100_000))
        assert stack.frames[-1].function == "test_a_process_answers"
        assert size_of_stack(fd) == len(read_stack(fd, 100_000))
    assert len(read_stack(fd, 10)) == 10
    assert read_header(fd) == Header(os.getpid(), fd)


def test_a_signal_that_the_application_handles(fd, free_signal, caplog):
    """Its handler stays. The log says so once."""
    signal.signal(STACK_SIGNAL, handler := lambda *_: None)
    for _ in range(2):
        answer_stack_requests(fd)
    assert signal.getsignal(STACK_SIGNAL) is handler
    assert read_header(fd) == Header(os.getpid(), fd, is_taken=True)
    (message,) = caplog.messages
    assert message == (
        f"`heliograph stack` does not work in process {os.getpid()}: the application handles Unix signal "
        f"{STACK_SIGNAL} itself. Use another number there"
    )


def test_a_closed_descriptor(free_signal, caplog):
    """The process goes on, and the log says so. A process without a file has nothing to do."""
    fd = make_stack_file()
    os.close(fd)
    answer_stack_requests(fd)
    answer_stack_requests(None)
    assert caplog.messages == [
        f"`heliograph stack` does not work in process {os.getpid()}: [Errno 9] Bad file descriptor"
    ]


def test_the_stack_of_this_thread(descriptors):
    """It needs no signal, and leaves nothing open."""
    before = descriptors()
    frames = parse_stack("", "", own_stack(100_000)).frames
    assert [frame.function for frame in frames[-2:]] == ["test_the_stack_of_this_thread", "own_stack"]
    assert descriptors() == before
