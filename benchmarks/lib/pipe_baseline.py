"""A server that is a pipe and nothing else: a yardstick for a send and for its way to another process.

`python -m lib.pipe_baseline DESK` forks one receiver, which reads a record at a time, and takes jobs on the unix
socket DESK.
"""

from __future__ import annotations

import os
import socket
import sys
from time import monotonic_ns

from lib.api_adapters import Binding
from lib.job_socket import answer
from lib.load_generators import Sender, work
from lib.shared_counters import TIMES, Memory

_COUNTED, _TIMED = bytes(16), bytes([1]) * 16


def main() -> None:
    """Serve until killed."""
    memory = Memory()
    reader, writer = os.pipe()
    if not os.fork():
        os.close(writer)
        _receive(reader, memory)
        os._exit(0)

    def send(record: bytes) -> None:
        os.write(writer, record)

    sender = Sender(Binding(send, {"one": _COUNTED, "timed": _TIMED}), memory)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        while True:
            answer(listener, lambda text: work(sender, text))


def _receive(reader: int, memory: Memory) -> None:
    words, times, mine = memory.words, memory.times, memory.counter(1)
    while record := os.read(reader, 16):
        if record[0]:
            times[words[mine] % TIMES] = monotonic_ns()
        words[mine] += 1


if __name__ == "__main__":
    main()
