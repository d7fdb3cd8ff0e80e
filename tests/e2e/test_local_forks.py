"""Applications that start processes themselves, on the heliograph server."""

from __future__ import annotations

import signal
from pathlib import Path

from heliograph.testing.harness.harness import eventually

WORK = """
import multiprocessing, subprocess, threading

@Signal(1).register_handler("mule1")
def work():
    record("work")

def send(times):
    for _ in range(times):
        Signal(1).send()
    record("sent")
"""


def test_a_child_process_can_send(server):
    """With `multiprocessing` or `os.fork()`, from a handler or a thread. Its signals arrive and are counted."""
    code = """
@Signal(2).register_handler("worker")
def by_multiprocessing():
    child = multiprocessing.get_context("fork").Process(target=send, args=(100,))
    child.start()
    child.join()
    record(f"code{child.exitcode}")

@Signal(3).register_handler("worker")
def by_fork():
    pid = os.fork()
    if not pid:
        send(100)
        os._exit(0)
    os.waitpid(pid, 0)

@Signal(4).register_handler("worker")
def by_thread():
    threading.Thread(target=by_fork).start()
"""
    server.start(WORK + code, "--mules", "1")
    for number, num in enumerate((2, 3, 4), 1):
        server.send(num)
        server.expect(100 * number, "work")
    server.expect(3, "sent")
    assert server.events("code0")
    server.await_row(1, sent=300, started=300, done=300, queued=0)
    assert len({event.pid for event in server.events("sent")}) == 3
    assert {event.pid for event in server.events("work")} == {server.pids()["mule1"]}
    assert server.end() == 0


def test_more_children_than_counter_slots_can_send(server):
    """With twenty at a time, all signals arrive, although some may not be counted. Later children are counted again."""
    code = """
@Signal(2).register_handler("worker")
def crowd():
    children = [multiprocessing.get_context("fork").Process(target=wait_and_send) for _ in range(20)]
    for child in children:
        child.start()
    Path("crowded").touch()
    for child in children:
        child.join()
    record("crowd-over")

def wait_and_send():
    block_on("crowded")
    send(5)

@Signal(3).register_handler("worker")
def one():
    child = multiprocessing.get_context("fork").Process(target=send, args=(5,))
    child.start()
    child.join()
"""
    server.start(WORK + code, "--mules", "1")
    server.send(2)
    server.expect(1, "crowd-over")
    server.expect(100, "work")
    sent = server.row(1)["sent"]
    assert 80 <= sent <= 100
    server.send(3)
    server.expect(105, "work")
    server.await_row(1, sent=sent + 5, done=105)
    assert server.end() == 0


def test_a_child_process_receives_no_signals(server):
    """The processes of the server receive them, although the child inherits the queues. SIGTERM ends the child."""
    code = """
@Signal(2).register_handler("mule1")
def start():
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    child.start()
    record("started")
    block_on("go")
    child.terminate()
    child.join()
    record(f"child{child.exitcode}")
"""
    server.start(WORK + code, "--mules", "1")
    server.send(2)
    server.expect(1, "started")
    server.send(1, 5)
    server.release("go")
    server.expect(1, f"child{-signal.SIGTERM}")
    assert {event.pid for event in server.expect(5, "work")} == {server.pids()["mule1"]}
    server.await_row(1, done=5, queued=0)
    assert server.end() == 0


def test_a_child_that_returns_from_the_handler_exits(server):
    """After a return, `sys.exit()` or an exception. It is not a second mule, and the signal counts once."""
    code = """
@Signal(2).register_handler("mule1")
def returns():
    if os.fork():
        os.wait()
        record("parent")

@Signal(3).register_handler("mule1")
def leaves():
    if not os.fork():
        sys.exit(1)
    os.wait()
    record("parent")

@Signal(4).register_handler("mule1")
def fails():
    if not os.fork():
        raise LookupError
    os.wait()
    record("parent")
"""
    server.start(WORK + code, "--mules", "1")
    pid = server.pids()["mule1"]
    for count, num in enumerate((2, 3, 4), 1):
        server.send(num)
        server.send(1)
        assert {event.pid for event in server.expect(count, "parent")} == {pid}
        server.expect(count, "work")
        server.await_row(num, started=1, done=1, failed=0, redelivered=0)
    assert {event.pid for event in server.events("work")} == {pid}
    assert server.end() == 0


def test_a_subprocess_inherits_nothing_of_the_server(server):
    """It has no descriptors of the server, ignores no Unix signals, and its engine is `detached`.

    One setting stays in its environment: how large a task may be that it enqueues.
    """
    code = """
PROGRAM = '''
import os, signal, heliograph
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")))
print([name for name in os.environ if name.startswith("HELIOGRAPH")], heliograph.engines.current().name)
print(*(int(signal.getsignal(signum) is signal.SIG_IGN) for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)))
'''

@Signal(2).register_handler("mule1")
def run():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, close_fds=False)
    Path("said").write_text(done.stdout + done.stderr)
    record("ran")
"""
    server.start(WORK + code, "--mules", "1")
    server.send(2)
    server.expect(1, "ran")
    assert (server.directory / "said").read_text() == "[0, 1, 2]\n['HELIOGRAPH_TASK_BYTES'] detached\n0 0 0\n"
    assert server.end() == 0


def test_the_master_reaps_orphans_of_the_application(server):
    """They become its children. The master does not take them for processes of the server."""
    code = """
@Signal(2).register_handler("mule1")
def orphans():
    for _ in range(50):
        if not os.fork():
            if not os.fork():
                os._exit(0)
            os._exit(0)
        os.wait()
    record("orphaned")
"""
    server.start(WORK + code, "--mules", "1")
    server.send(2)
    server.expect(1, "orphaned")
    server.send(1)
    server.expect(1, "work")
    known = {server.fork_server(), *server.pids().values()}
    children = Path(f"/proc/{server.master()}/task/{server.master()}/children")
    eventually("all orphans to be reaped", lambda: set(map(int, children.read_text().split())) == known)
    assert "exited" not in server.log
    assert server.end() == 0
