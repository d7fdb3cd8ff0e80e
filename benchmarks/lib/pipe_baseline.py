"""A pipe without a server: the baseline for the cost of a send and for the latency to another process.

`python -m lib.pipe_baseline SOCKET` forks one receiver, which reads one record at a time, and accepts jobs on the Unix
socket SOCKET.
"""

from __future__ import annotations

import os
import socket
import sys
from time import monotonic_ns

from lib.api_adapters import Binding
from lib.job_socket import answer
from lib.load_generators import Sender, run_request
from lib.shared_counters import MAX_TIMES, SharedCounters

_COUNTED, _TIMED = bytes(16), bytes([1]) * 16


def main() -> None:
    """Run jobs until killed."""
    counters = SharedCounters()
    reader, writer = os.pipe()
    if not os.fork():
        os.close(writer)
        _receive(reader, counters)
        os._exit(0)

    def send(record: bytes) -> None:
        os.write(writer, record)

    sender = Sender(Binding(send, {"one": _COUNTED, "timed": _TIMED}), counters)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        while True:
            answer(listener, lambda text: run_request(sender, text))


def _receive(reader: int, counters: SharedCounters) -> None:
    words, times, mine = counters.words, counters.times, counters.counter(1)
    while record := os.read(reader, 16):
        if record[0]:
            times[words[mine] % MAX_TIMES] = monotonic_ns()
        words[mine] += 1


if __name__ == "__main__":
    main()
