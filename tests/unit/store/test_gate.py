"""The lock under which processes write."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from heliograph._core.tasks.values import NewTask
from heliograph.exceptions import StoreError
from heliograph.store.gate import Gate
from heliograph.store.sqlite import SqliteStore

NOW = 1_800_000_000_000_000
TASK = NewTask("shop:task", "mule")


def hold(directory):
    """Hold the gate in another process, and return its number."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with Gate(directory):
            os.write(writer, b"x")
            time.sleep(60)
        os._exit(0)
    os.read(reader, 1)
    return pid


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_waiting_process_gives_up_and_names_the_holder(tmp_path):
    pid = hold(tmp_path)
    try:
        started = time.monotonic()
        with pytest.raises(StoreError, match=f"locked by process {pid} for more than 0.2 s"), Gate(tmp_path, 0.2):
            pass
        assert 0.2 <= time.monotonic() - started < 3
    finally:
        end(pid)


def test_a_stopped_holder_does_not_stop_enqueue_for_ever(tmp_path):
    directory = str(tmp_path)
    store = SqliteStore(directory, sync=False, timeout=0.2)
    store.enqueue([TASK], NOW)
    pid = hold(directory)
    os.kill(pid, signal.SIGSTOP)
    for tasks in ([TASK], [TASK] * 2):
        with pytest.raises(StoreError, match=f"locked by process {pid}"):
            store.enqueue(tasks, NOW)
    assert len(store.find()) == 1
    end(pid)
    store.enqueue([TASK], NOW)
    assert len(store.find()) == 2
    store.close()


def test_a_killed_holder_frees_the_gate(tmp_path):
    end(hold(tmp_path))
    with Gate(tmp_path, 0.2):
        pass


def test_a_child_of_a_killed_holder_does_not_keep_the_gate(tmp_path):
    """It closes the descriptor that it has inherited."""
    directory = str(tmp_path)
    store = SqliteStore(directory, sync=False, timeout=1)
    store.enqueue([TASK], NOW)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        store.enqueue([TASK], NOW)
        with store.database.write("test"):
            left = os.fork()
            if left == 0:
                time.sleep(30)
                os._exit(0)
            os.write(writer, f"{left}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
    left = int(os.read(reader, 20))
    os.waitpid(pid, 0)
    try:
        store.enqueue([TASK], NOW)
        assert len(store.find()) == 3
    finally:
        os.kill(left, signal.SIGKILL)
    store.close()


def test_threads_of_a_process_take_turns(tmp_path):
    gate, inside, seen = Gate(tmp_path, 10), [], []

    def work():
        for _ in range(200):
            with gate:
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {1}
    assert len(seen) == 800


def test_a_thread_that_waits_for_another_thread_gives_up_too(tmp_path):
    gate = Gate(tmp_path, 0.1)
    caught = []

    def wait():
        try:
            with gate:
                pass
        except StoreError as error:
            caught.append(str(error))

    with gate, gate:
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
    assert "locked by" in caught[0]
    with Gate(tmp_path, 0.1):
        pass


def test_an_exception_inside_frees_the_gate(tmp_path):
    gate = Gate(tmp_path, 0.1)
    with pytest.raises(KeyError), gate:
        raise KeyError
    with Gate(tmp_path, 0.1):
        pass


def test_an_exception_of_a_signal_handler_leaves_no_transaction_open(tmp_path):
    """A handler that raises may end an enqueue at any moment. The next one works, and so does another process.

    This runs in a process without other threads: the kernel would give them the signals that are blocked here.
    """
    subprocess.run([sys.executable, "-c", INTERRUPTED, str(tmp_path)], check=True, timeout=60)


INTERRUPTED = """
import signal, sys
import pytest
from heliograph._core.tasks.values import NewTask
from heliograph.store.sqlite import SqliteStore

NOW = 1_800_000_000_000_000
TASK = NewTask("shop:task", "mule")

class Late(Exception):
    pass

def late(*_):
    raise Late

store = SqliteStore(sys.argv[1], sync=False, timeout=2)
store.enqueue([TASK], NOW)
signal.signal(signal.SIGALRM, late)
stored = 0

def enqueue_until_late(number):
    global stored
    signal.setitimer(signal.ITIMER_REAL, 0.00003 + 0.000002 * (number % 60))
    for _ in range(10**6):
        store.enqueue([TASK] * (1 + number % 2), NOW)
        stored += 1

for number in range(400):
    with pytest.raises(Late):
        enqueue_until_late(number)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
other = SqliteStore(sys.argv[1], sync=False, timeout=2)
for _ in range(2):
    assert other.enqueue([TASK], NOW)
    assert store.enqueue([TASK] * 2, NOW)
assert len(store.find(limit=10**6)) >= stored
assert store.check() == []
"""
