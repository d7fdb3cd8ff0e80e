"""Processes of the heliograph server that crash: their successors, and the redelivery of their signals."""

from __future__ import annotations

import os
import re
import signal

import pytest

from heliograph.testing.harness.harness import eventually

WORK = """
@Signal(1).register_handler("mule1")
def work(num):
    record("started")
    block_on("gate")
    record("done")

@Signal(2).register_handler("mule1")
def other():
    record("other")

@Signal(3).register_handler("mule1", redeliver=False)
def once():
    record("once")
    block_on("gate")

@Signal(4).register_handler("mule")
def pooled():
    record("pooled")
    block_on("gate")
    record("pooled-done")

@Signal(5).register_handler("worker")
def alive():
    record("alive")
"""


def test_a_killed_process_is_replaced_immediately(server):
    """The log gives the Unix signal. The successor handles the next signal."""
    server.start(WORK, "--mules", "1")
    pid = server.pids()["mule1"]
    # The master takes the death of a young process for a crash loop.
    eventually("an age of one second", lambda: _age(pid) > 1.1)
    server.kill("mule1")
    server.send(2)
    assert server.expect(1, "other")[0].pid != pid
    assert "mule1 exited (killed by signal 9), restarting" in server.log
    assert server.end() == 0


def _age(pid: int) -> float:
    """Return the seconds since a process was forked."""
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - short
        started = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    with open("/proc/uptime") as file:  # noqa: PTH123
        return float(file.read().split()[0]) - started


def test_a_crash_loop_is_slowed_down_and_logged(server):
    """A mule that exits in its post-fork hook is restarted after growing pauses. Other processes continue."""
    code = """
@uwsgi.postfork_hooks.add()
def hook():
    if engines.current().identity.role == "mule":
        os._exit(3)
"""
    server.write(WORK + code)
    server.launch("--mules", "1", "--socket", server.remote_socket, "--allow-remote", "5")
    server.await_log("mule1 exited .exit code 3.", 5)
    pauses = [float(pause) for pause in re.findall(r"mule1 exited .* restarting in ([0-9.]+) s", server.log)]
    assert pauses[:5] == [0.05, 0.1, 0.2, 0.4, 0.8]
    server.send(5)
    server.expect(1, "alive")
    assert server.end() == 0


@pytest.mark.quick
def test_a_running_signal_is_redelivered_to_the_successor(server):
    """D3, T9: The successor handles it once more, before all later signals."""
    server.start(WORK, "--mules", "1")
    server.send(1)
    first = server.expect(1, "started")[0]
    server.send(2, 3)
    assert server.kill("mule1") == first.pid
    again = server.expect(2, "started")[1]
    assert again.pid != first.pid
    server.release("gate")
    server.expect(3, "other")
    assert [event.what for event in server.events()] == ["started", "started", "done", "other", "other", "other"]
    server.await_row(1, sent=1, started=2, done=1, failed=0, redelivered=1, dropped=0, queued=0)
    assert server.end() == 0


def test_fetched_signals_keep_their_order(server):
    """T9: A process fetches many signals at a time. After a crash its successor handles them before the queued ones."""
    code = """
@Signal(1).register_handler("mule1")
def first():
    record("first")
    block_on("gate")

def numbered(num):
    record(f"n{num}")

for num in range(10, 250):
    Signal(num).register_handler("mule1")(numbered)

@Signal(2).register_handler("worker")
def send():
    Signal(1).send()
    for num in range(10, 250):
        Signal(num).send()
    record("sent")
"""
    server.start(code, "--mules", "1")
    server.send(2)
    server.expect(1, "sent")
    for count in (1, 2):
        server.expect(count, "first")
        pid = server.kill("mule1")
        server.await_successor("mule1", pid)
    server.expect(3, "first")
    assert not server.events("n10")
    server.release("gate")
    server.expect(1, "n249")
    numbered = [event.what for event in server.events() if event.what.startswith("n")]
    assert numbered == [f"n{num}" for num in range(10, 250)]
    assert server.end() == 0


def test_a_running_signal_of_a_shared_queue_is_redelivered_to_another_process(server):
    """D3: It does not wait for the successor of the killed process."""
    server.start(WORK, "--mules", "2")
    server.send(4)
    first = server.expect(1, "pooled")[0]
    os.kill(first.pid, signal.SIGKILL)
    second = server.expect(2, "pooled")[1]
    assert second.pid != first.pid
    server.release("gate")
    server.expect(1, "pooled-done")
    server.await_row(4, sent=1, started=2, done=1, redelivered=1, queued=0)
    assert server.end() == 0


def test_a_handler_can_disable_redelivery(server):
    """D3: With `redeliver=False` the signal is dropped, counted and logged. Later signals are handled."""
    server.start(WORK, "--mules", "1")
    server.send(3)
    server.expect(1, "once")
    server.send(2)
    server.kill("mule1")
    server.expect(1, "other")
    server.await_row(3, sent=1, started=1, done=0, redelivered=0, dropped=1, queued=0)
    assert len(server.events("once")) == 1
    assert "Dropped signal 3, which was in flight in mule1: it was registered with redeliver=False" in server.log
    assert server.end() == 0


@pytest.mark.parametrize("num", [6, 7], ids=["own queue", "pool"])
def test_a_signal_that_kills_three_processes_is_dropped(server, num):
    """D3: It is logged and counted. Later signals are handled."""
    code = """
def deadly(num):
    record("deadly")
    os.kill(os.getpid(), signal.SIGKILL)

Signal(6).register_handler("mule1")(deadly)
Signal(7).register_handler("mule")(deadly)
"""
    server.start(WORK + code, "--mules", "1", remote="2,6,7")
    server.send(num)
    server.send(2)
    server.await_log(f"Dropped signal {num}, which was in flight in mule1: 3 processes in a row exited")
    server.expect(1, "other")
    assert len(server.events("deadly")) == 3
    server.await_row(num, sent=1, started=3, done=0, failed=0, redelivered=2, dropped=1, queued=0)
    assert server.end() == 0


def test_a_handler_that_exits_counts_as_failed(server):
    """S8: `sys.exit()` ends the process. The signal is not redelivered."""
    code = """
@Signal(6).register_handler("mule1")
def leave():
    record("leaves")
    sys.exit(4)
"""
    server.start(WORK + code, "--mules", "1", remote="2,6")
    server.send(6)
    server.await_log("mule1 exited .exit code 4.")
    server.send(2)
    server.expect(1, "other")
    server.await_row(6, sent=1, started=1, failed=1, redelivered=0, dropped=0)
    assert len(server.events("leaves")) == 1
    assert server.end() == 0


def test_a_killed_fork_server_is_replaced(server):
    """A mule that is killed at the same time is replaced too. Reloads work."""
    server.start(WORK, "--mules", "1", "--workers", "2")
    before, fork_server = server.pids(), server.fork_server()
    os.kill(fork_server, signal.SIGKILL)
    os.kill(before["mule1"], signal.SIGKILL)
    server.await_log("Fork server exited .killed by signal 9., loading the application again")
    server.await_successor("mule1", before["mule1"])
    server.send(2)
    server.expect(1, "other")
    eventually("a new fork server", lambda: server.state()["complete"] and server.state()["generation"] == 2)
    assert server.fork_server() != fork_server
    assert server.command("reload").returncode == 0
    assert server.end() == 0


def test_the_server_continues_while_the_application_cannot_be_loaded(server):
    """The fork server is killed while the code is broken. A reload with working code replaces a killed mule."""
    server.start(WORK, "--mules", "1")
    before = server.pids()
    server.write("import nothing_of_that_name")
    os.kill(server.fork_server(), signal.SIGKILL)
    server.await_log("Cannot load the application, processes that exit are not restarted, retrying in 10 s")
    server.kill("mule1")
    eventually("the mule to be missing", lambda: "mule1" not in server.pids())
    server.send(2)
    server.send(5)
    assert server.expect(1, "alive")[0].pid == before["worker1"]
    server.write(WORK)
    server.process.send_signal(signal.SIGHUP)
    server.expect(1, "other")
    assert server.end() == 0


def test_descriptors_do_not_leak(server):
    """After twenty kills and two reloads, every process has as many descriptors as before."""
    server.start(WORK, "--mules", "4", "--farm", "crew=1,2", "--spooler", "spool", "--workers", "2")

    def count() -> dict[str, int]:
        pids = {"master": server.master(), "fork server": server.fork_server(), **server.pids()}
        return {name: len(os.listdir(f"/proc/{pid}/fd")) for name, pid in pids.items()}  # noqa: PTH208 - counted only

    before = count()
    for number in range(21):
        name = sorted(server.pids())[number % 7]
        server.await_successor(name, server.kill(name))
        if number in (6, 13):
            assert server.command("reload").returncode == 0
    eventually("all processes", lambda: server.state()["complete"])
    server.send(5)
    server.expect(1, "alive")
    eventually("as many descriptors as before", lambda: count() == before)
    assert server.end() == 0


CLOSES = """
from heliograph.exceptions import NoEngine

@Signal(1).register_handler("mule1")
def work():
    record("work")

@Signal(2).register_handler("mule1")
def close():
    record("close")
    Path("closed").touch()
    os.closerange(3, 1024)
    try:
        Signal(1).send()
    except NoEngine as error:
        print(error)

@Signal(3).register_handler("worker1")
def fill():
    for num in [1] * 100 + [2] + [1] * 200:
        Signal(num).send()
    record("filled")
"""


def test_a_process_whose_handler_closes_all_descriptors_is_replaced(server):
    """It cannot receive any more. It ends with a line in the log, and its successor handles the other signals, also one
    whose handler failed for lack of a descriptor.
    """
    server.start(CLOSES, "--mules", "1")
    pid = server.pids()["mule1"]
    server.send(3)
    server.expect(1, "filled")
    server.await_row(1, done=300, queued=0)
    assert server.await_successor("mule1", pid)
    server.await_row(2, sent=1, done=1, failed=0, redelivered=0)
    assert "signal 1 was not sent: this process has closed a descriptor" in server.log
    server.await_row(1, sent=300, failed=0, redelivered=1)
    assert len(server.events("work")) == 300
    assert (
        f"Process {pid} ends and is replaced: a handler or a hook has closed descriptors that heliograph uses"
        in server.log
    )
    assert server.end() == 0


def test_a_process_whose_hook_closes_all_descriptors_is_replaced(server):
    """A line in the log says so. Its successor works."""
    server.start(
        CLOSES.replace("os.closerange(3, 1024)", "pass")
        + """
@uwsgi.postfork_hooks.add()
def hook():
    if str(engines.current().identity) == "mule1" and not Path("hooked").exists():
        Path("hooked").touch()
        os.closerange(3, 1024)
""",
        "--mules",
        "1",
    )
    server.send(1)
    server.expect(1, "work")
    assert server.log.count("ends and is replaced: a handler or a hook has closed descriptors") == 1
    assert "Traceback" not in server.log
    assert server.end() == 0
