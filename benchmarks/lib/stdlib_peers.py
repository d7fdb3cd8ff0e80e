"""Python processes that communicate through a pipe, a queue or an executor. They lose nothing: the sender blocks.

Each function starts a number of receivers. The only job is `flood`, and receivers count in shared memory as mules do.
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
from lib.shared_counters import SharedCounters

_RECORD = bytes(16)
_FORK: ForkContext = multiprocessing.get_context("fork")
"""Receivers are forked, like mules."""


class Channel:
    """A sender in this process."""

    def __init__(self, send: Callable[[Any], object], what: object, counters: SharedCounters) -> None:
        self._sender = Sender(Binding(send, {"one": what, "pool": what}), counters)

    def run_job(self, job: str, **arguments: int) -> Figures:
        """Run a job of `lib.load_generators` in this process."""
        return run(job, self._sender, arguments)


@contextmanager
def pipe(receivers: int) -> Generator[Channel]:
    """Use `os.write` and `os.read`, one record per signal. All readers share the pipe."""
    counters = SharedCounters()
    reader, writer = os.pipe()

    def receive(counter: int) -> None:
        os.close(writer)
        words = counters.words
        while os.read(reader, len(_RECORD)):
            words[counter] += 1

    def send(record: bytes) -> None:
        os.write(writer, record)

    processes = _start(receive, counters, receivers)
    try:
        yield Channel(send, _RECORD, counters)
    finally:
        _end(processes)
        os.close(writer)
        os.close(reader)


@contextmanager
def queue(receivers: int) -> Generator[Channel]:
    """Use `put` and `get` of a number."""
    counters = SharedCounters()
    channel: multiprocessing.Queue[int] = _FORK.Queue()

    def receive(counter: int) -> None:
        words = counters.words
        while True:
            channel.get()
            words[counter] += 1

    processes = _start(receive, counters, receivers)
    try:
        yield Channel(channel.put, 17, counters)
    finally:
        _end(processes)
        channel.cancel_join_thread()  # the receivers are gone, so unwritten items can be discarded
        channel.close()


@contextmanager
def executor(receivers: int) -> Generator[Channel]:
    """Use `submit` of a function with a number."""
    counters = SharedCounters()
    serial = _FORK.Value("i", 0)
    with ProcessPoolExecutor(receivers, _FORK, _set_up_worker, (counters, serial)) as pool:

        def send(num: int) -> None:
            pool.submit(_count, num)

        try:
            yield Channel(send, 17, counters)
        finally:
            pool.shutdown(cancel_futures=True)


_own_counter: list[tuple[SharedCounters, int]] = []
"""The counter of this process, in a process of the executor."""


def _set_up_worker(counters: SharedCounters, serial: Any) -> None:
    _ignore_stop_signals()
    with serial:
        serial.value += 1
        _own_counter.append((counters, counters.counter(serial.value)))


def _count(_num: int) -> None:
    counters, counter = _own_counter[0]
    counters.words[counter] += 1


def _start(receive: Callable[[int], None], counters: SharedCounters, receivers: int) -> list[ForkProcess]:
    def work(counter: int) -> None:
        _ignore_stop_signals()
        receive(counter)

    processes = [_FORK.Process(target=work, args=(counters.counter(n),), daemon=True) for n in range(1, receivers + 1)]
    for process in processes:
        process.start()
    sleep(0.1)  # wait until all receivers read
    return processes


def _end(processes: list[ForkProcess]) -> None:
    for process in processes:
        process.kill()
        process.join()


def _ignore_stop_signals() -> None:
    """Ignore Ctrl-C and reset inherited signal handlers: only the sender stops the receivers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
