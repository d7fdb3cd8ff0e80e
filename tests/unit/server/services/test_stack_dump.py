"""Asking a process where its threads are: real processes that hang, stop, exit, or do not answer."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from heliograph._core.thread_stacks import parse_stack
from heliograph.ipc.stack_files import STACK_SIGNAL, make_stack_file, read_header, size_of_stack
from heliograph.server.services import stack_dump
from heliograph.server.services.stack_dump import StackDump
from heliograph.testing.harness.harness import eventually

PREAMBLE = """
import ctypes, os, signal, sys, time
from heliograph.ipc.stack_files import STACK_SIGNAL, answer_stack_requests
FD = int(sys.argv[1])
def ready():
    os.write(1, b"ready\\n")
def hang():
    ready()
    time.sleep(60)
"""
ANSWER = "answer_stack_requests(FD)\n"


class Process:
    """A process with a file for its stacks."""

    def __init__(self, code):
        self.fd = make_stack_file()
        self.child = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + code, str(self.fd)],
            pass_fds=[self.fd],
            stdout=subprocess.PIPE,
            process_group=0,
        )
        self.pid = self.child.pid
        self.child.stdout.readline()

    def ask(self):
        dump = StackDump("mule1", self.pid, self.fd, time.monotonic())
        self.finish(dump)
        return dump

    def finish(self, dump):
        while dump.outcome is None:
            dump.poll(time.monotonic())
            time.sleep(0.002)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.child.wait()
        self.child.stdout.close()
        os.close(self.fd)


@pytest.fixture
def start():
    started = []

    def begin(code):
        started.append(Process(code))
        return started[-1]

    yield begin
    for process in started:
        process.close()


@pytest.fixture
def short_timeout(monkeypatch):
    monkeypatch.setattr(stack_dump, "TIMEOUT", 0.3)


def functions(dump):
    assert (dump.outcome, dump.error) == ("answered", "")
    stacks = (parse_stack(**thread) for thread in dump.threads)
    return [[frame.function for frame in stack.frames] for stack in stacks]


def outer(dump):
    """The two outermost functions of each thread. What they call may or may not have returned yet."""
    return [names[:2] for names in functions(dump)]


LOOP = """
def hang():
    ready()
    while True: {}
hang()
"""
HANGING = {
    "in Python": "hang()",
    "in C, without the interpreter's lock": LOOP.format("ctypes.CDLL(None).pause()"),
    "in C, with the interpreter's lock": LOOP.format("ctypes.PyDLL(None).pause()"),
    "without a pause": LOOP.format("pass"),
}


@pytest.mark.parametrize("code", HANGING.values(), ids=HANGING)
def test_a_process_that_hangs_answers(start, code):
    """As often as it is asked, and each time with one answer."""
    process = start(ANSWER + code)
    for _ in range(3):
        assert outer(process.ask()) == [["<module>", "hang"]]
    assert not size_of_stack(process.fd)


def test_a_process_goes_on(start):
    """What it waits for in Python continues, and the file takes no memory afterwards."""
    process = start(ANSWER + "ready()\ntime.sleep(1)\nready()\ntime.sleep(60)")
    before = time.monotonic()
    while time.monotonic() < before + 0.5:
        assert functions(process.ask())[0][0] == "<module>"
    assert process.child.stdout.readline() == b"ready\n"
    assert not size_of_stack(process.fd)


def test_all_threads_answer(start):
    """The main thread first. One that blocks all Unix signals, as those of libraries in C do, is left out."""
    process = start(
        ANSWER
        + """
import threading
def waiting():
    time.sleep(60)
def blocking():
    signal.pthread_sigmask(signal.SIG_BLOCK, [STACK_SIGNAL])
    blocked.set()
    time.sleep(60)
blocked = threading.Event()
for function in (waiting, waiting, blocking):
    threading.Thread(target=function, daemon=True).start()
blocked.wait()
hang()
"""
    )
    for _ in range(5):
        dump = process.ask()
        found = functions(dump)
        assert found[0][:2] == ["<module>", "hang"]
        assert [names[-1] for names in found[1:] if "waiting" in names] == ["waiting", "waiting"]
        assert (len(found), dump.threads[0]["id"]) == (3, str(process.pid))


def test_the_main_thread_blocks_the_signal(start, short_timeout):
    """The others answer, and the error says why it does not."""
    process = start(
        ANSWER
        + """
import threading
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [STACK_SIGNAL])
hang()
"""
    )
    dump = process.ask()
    assert dump.error == f"mule1 did not answer within 0.3 s: its main thread blocks Unix signal {STACK_SIGNAL}."
    (other,) = dump.threads
    assert " in run" in other["text"]


def test_the_main_thread_blocks_the_signal_for_a_moment(start):
    """As while it starts a program. It is asked afterwards."""
    process = start(
        ANSWER
        + """
signal.pthread_sigmask(signal.SIG_BLOCK, [STACK_SIGNAL])
ready()
time.sleep(0.3)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [STACK_SIGNAL])
hang()
"""
    )
    assert functions(process.ask())[0][0] == "<module>"


def test_busy_threads(start):
    """They run on while they are asked, hundreds of times. Reading the stacks of all at once would end the process."""
    process = start(
        ANSWER
        + """
import threading
def deep(n):
    return deep(n - 1) + len(str(n)) if n else 0
def busy():
    while True:
        deep(200)
def begin_and_end():
    while True:
        thread = threading.Thread(target=deep, args=(50,))
        thread.start()
        thread.join()
for function in (busy, busy, begin_and_end):
    threading.Thread(target=function, daemon=True).start()
hang()
"""
    )
    for _ in range(60):
        dump = process.ask()
        assert dump.outcome == "answered"
        assert outer(dump)[0] == ["<module>", "hang"]
    assert process.child.poll() is None


def test_a_stopped_process(start, short_timeout):
    """It is named with its state. When it continues, the late answer is not mixed with the next one."""
    process = start(ANSWER + "hang()")
    os.kill(process.pid, signal.SIGSTOP)
    late = process.ask()
    assert late.error == (
        f"mule1 did not answer within 0.3 s: it is stopped (state T). To continue it: kill -CONT {process.pid}."
    )
    assert late.resume(time.monotonic())
    process.finish(late)
    assert "it is stopped" in late.error
    os.kill(process.pid, signal.SIGCONT)
    eventually("the late answer", lambda: not late.resume(time.monotonic()))
    assert size_of_stack(process.fd)
    assert outer(process.ask()) == [["<module>", "hang"]]


def test_an_answer_that_comes_late_is_used_for_the_next_request(start, short_timeout):
    """While the process owes it, no second signal is sent."""
    process = start(ANSWER + "hang()")
    os.kill(process.pid, signal.SIGSTOP)
    dump = process.ask()
    assert dump.resume(time.monotonic())
    os.kill(process.pid, signal.SIGCONT)
    process.finish(dump)
    assert outer(dump) == [["<module>", "hang"]]


def test_a_process_that_waits_in_the_kernel(start, short_timeout, directory):
    """`posix_spawn` waits for the new program without an interruption, here for a file that nobody writes."""
    os.mkfifo(directory / "fifo")
    process = start(
        ANSWER
        + f"""
ready()
os.posix_spawn("/bin/true", ["true"], {{}}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, {str(directory / "fifo")!r}, 0, 0)])
"""
    )
    eventually("the kernel", lambda: stack_dump.signal_state(process.pid, STACK_SIGNAL).state == "D")
    assert process.ask().error == (
        "mule1 did not answer within 0.3 s: it waits in the kernel, which nothing can interrupt (state D), "
        "for example for a disk."
    )
    assert process.child.poll() is None


REMOVED = (
    f"mule1 cannot answer: the application has removed the handler of Unix signal {STACK_SIGNAL}. Leave that signal "
    "alone."
)
CLOSED = (
    "mule1 cannot answer: it has closed a descriptor of heliograph, as os.closerange() does. Close only what your code "
    "has opened."
)
SILENT = {
    "it has not come so far": ("hang()", "mule1 did not answer within 0.3 s: it is still starting."),
    "its handler was taken before": (
        "signal.signal(STACK_SIGNAL, print)\n" + ANSWER + "hang()",
        f"mule1 cannot answer: the application handles Unix signal {STACK_SIGNAL} itself. Use another number there.",
    ),
    "its handler was removed": (
        ANSWER + "signal.signal(STACK_SIGNAL, signal.SIG_DFL)\nhang()",
        REMOVED,
    ),
    "its handler was replaced": (
        ANSWER + "signal.signal(STACK_SIGNAL, lambda *_: None)\nhang()",
        f"mule1 cannot answer: the application handles Unix signal {STACK_SIGNAL} itself. Use another number there.",
    ),
    "its descriptors are closed": (
        ANSWER + "os.closerange(3, FD + 1)\nhang()",
        CLOSED,
    ),
    "its descriptor is another file": (
        ANSWER + "os.dup2(os.open('/dev/full', os.O_RDWR), FD)\nhang()",
        CLOSED,
    ),
    "its thread blocks the signal": (
        ANSWER + "signal.pthread_sigmask(signal.SIG_BLOCK, [STACK_SIGNAL])\nhang()",
        f"mule1 did not answer within 0.3 s: its main thread blocks Unix signal {STACK_SIGNAL}.",
    ),
}


@pytest.mark.parametrize(("code", "error"), SILENT.values(), ids=SILENT)
def test_a_process_that_cannot_answer_lives_on(start, monkeypatch, code, error):
    """The error says why. Without a handler the signal would end the process, so it is not sent."""
    process = start(code)
    monkeypatch.setattr(stack_dump, "TIMEOUT", 0.3 if "0.3" in error else 20.0)
    assert process.ask().error == error
    assert process.child.poll() is None


@pytest.mark.parametrize("reaped", [False, True], ids=["not reaped", "reaped"])
@pytest.mark.parametrize("sent", [False, True], ids=["before it is asked", "before it answers"])
def test_a_process_that_exits(start, sent, reaped):
    """The request ends at once."""
    process = start(ANSWER + "hang()")
    dump = StackDump("mule1", process.pid, process.fd, time.monotonic())
    if sent:
        os.kill(process.pid, signal.SIGSTOP)
        dump.poll(time.monotonic())
        assert dump.outcome is None
    process.child.kill()
    if reaped:
        process.child.wait()
    process.finish(dump)
    assert dump.error == "mule1 exited before it answered."


def test_where_the_kernel_shows_nothing(start, monkeypatch):
    """A kernel may hide other processes. Then an answer of the main thread is complete when nothing more comes."""
    monkeypatch.setattr(stack_dump, "signal_state", lambda *_: None)
    monkeypatch.setattr(stack_dump, "threads_of", lambda pid: [pid])
    monkeypatch.setattr(stack_dump, "has_descriptor", lambda *_: None)

    process = start(ANSWER + "hang()")
    assert outer(process.ask()) == [["<module>", "hang"]]
    process.child.kill()
    process.child.wait()
    assert process.ask().error == "mule1 exited before it answered."


def test_a_child_of_the_process_changes_nothing(start):
    """It inherits descriptor and handler. Its own stacks are in no answer."""
    process = start(ANSWER + "def in_child():\n    time.sleep(60)\nif not os.fork():\n    in_child()\nhang()")
    assert outer(process.ask()) == [["<module>", "hang"]]
    assert read_header(process.fd).pid == process.pid


def test_a_successor_answers_in_the_same_file(start):
    """What its predecessor said about itself does not count."""
    process = start(ANSWER + "hang()")
    assert outer(process.ask()) == [["<module>", "hang"]]
    dump = StackDump("mule1", os.getpid(), process.fd, time.monotonic())
    dump.poll(time.monotonic())
    assert (dump.outcome, dump._thread) == (None, 0)
