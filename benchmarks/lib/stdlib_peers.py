"""Plain Python processes with a pipe, a queue or an executor between them. They lose nothing: the sender is held back.

Each opens with a number of receivers and answers the job `flood`, which counts in shared memory as the mules do.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import ForkContext, ForkProcess
from time import sleep
from typing import Any

from lib.api_adapters import Binding
from lib.load_generators import Figures, Sender, run
from lib.shared_counters import Memory

_RECORD = bytes(16)
_FORK: ForkContext = multiprocessing.get_context("fork")
"""Receivers are forked, as mules are."""


class Channel:
    """A sender in this process; `ask` runs a job here."""

    def __init__(self, send: Callable[[Any], object], what: object, memory: Memory) -> None:
        self._sender = Sender(Binding(send, {"one": what, "pool": what}), memory)

    def ask(self, job: str, **arguments: int) -> Figures:
        """Run a job of `lib.load_generators`."""
        return run(job, self._sender, arguments)


@contextmanager
def pipe(receivers: int) -> Generator[Channel]:
    """`os.write` and `os.read`, one record a signal; many readers share the pipe."""
    memory = Memory()
    reader, writer = os.pipe()

    def receive(counter: int) -> None:
        os.close(writer)
        words = memory.words
        while os.read(reader, len(_RECORD)):
            words[counter] += 1

    def send(record: bytes) -> None:
        os.write(writer, record)

    processes = _start(receive, memory, receivers)
    try:
        yield Channel(send, _RECORD, memory)
    finally:
        _end(processes)
        os.close(writer)
        os.close(reader)


@contextmanager
def queue(receivers: int) -> Generator[Channel]:
    """`put` and `get` of a number."""
    memory = Memory()
    channel: multiprocessing.Queue[int] = _FORK.Queue()

    def receive(counter: int) -> None:
        words = memory.words
        while True:
            channel.get()
            words[counter] += 1

    processes = _start(receive, memory, receivers)
    try:
        yield Channel(channel.put, 17, memory)
    finally:
        _end(processes)
        channel.cancel_join_thread()  # what nobody reads any more need not be written
        channel.close()


@contextmanager
def executor(receivers: int) -> Generator[Channel]:
    """`submit` of a function with a number."""
    memory = Memory()
    serial = _FORK.Value("i", 0)
    with ProcessPoolExecutor(receivers, _FORK, _enter, (memory, serial)) as pool:

        def send(num: int) -> None:
            pool.submit(_count, num)

        try:
            yield Channel(send, 17, memory)
        finally:
            pool.shutdown(cancel_futures=True)


_place: list[tuple[Memory, int]] = []
"""In a process of the executor: where it counts."""


def _enter(memory: Memory, serial: Any) -> None:
    _leave_ending_to_the_sender()
    with serial:
        serial.value += 1
        _place.append((memory, memory.counter(serial.value)))


def _count(_num: int) -> None:
    memory, counter = _place[0]
    memory.words[counter] += 1


def _start(receive: Callable[[int], None], memory: Memory, receivers: int) -> list[ForkProcess]:
    def work(counter: int) -> None:
        _leave_ending_to_the_sender()
        receive(counter)

    processes = [_FORK.Process(target=work, args=(memory.counter(n),), daemon=True) for n in range(1, receivers + 1)]
    for process in processes:
        process.start()
    sleep(0.1)  # so that they wait already; a signal sent earlier would only wait for them
    return processes


def _end(processes: list[ForkProcess]) -> None:
    for process in processes:
        process.kill()
        process.join()


def _leave_ending_to_the_sender() -> None:
    """Ctrl-C reaches receivers too, and a signal's handler is inherited: here it would only leave a mess."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
