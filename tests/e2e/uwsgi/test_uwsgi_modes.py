"""Real uWSGI in modes that the conformance suite does not cover."""

import pytest

from heliograph.testing.harness.harness import eventually

pytestmark = pytest.mark.needs("uwsgi")

THREADS = ("--enable-threads",)
MASTER = ("--master", *THREADS)


# Without a master


def test_registration_without_a_master_is_an_error(uwsgi):
    """K10, S11: For a signal, timer, cron rule and file monitor. The message names `--master`, and uWSGI continues."""
    code = """
from heliograph.runtime.scheduling import get_triggers, register_cron, register_timer
from heliograph.runtime.monitoring import register_file_monitor

def work(): record("work")

for decorator in (Signal(1).register_handler(), register_timer(1), register_cron(hour=3), register_file_monitor(".")):
    attempt(decorator, work)
attempt(Signal(1).send)
record_outcome(f"{Signal(1).registered} {get_triggers()}")
"""
    server = uwsgi.start(code, *THREADS, up=False)
    outcomes = eventually("six outcomes", lambda: len(uwsgi.outcomes()) == 6 and uwsgi.outcomes())
    assert all("Start it with --master" in line for line in outcomes[:4]), outcomes
    assert outcomes[4] != "no error"
    assert outcomes[5] == "False ()"
    server.await_log("spawned uWSGI worker 2")
    assert "segmentation" not in server.log.lower()
    assert server.process.poll() is None


# Fewer workers than possible


CHEAP = ("--cheaper", "1", "--cheaper-initial", "1", "--cheaper-algo", "manual", "--master-fifo", "fifo")
"""One worker. Only the test starts more."""


def more_workers(server, times):
    """Start more workers one by one."""
    for up in range(len(server.events("up")), len(server.events("up")) + times):
        (server.directory / "fifo").write_text("+")
        server.expect(up + 1, "up")


def test_active_workers_is_every_running_worker(uwsgi):
    """T4: One of three, and all three when they run."""
    server = uwsgi.start('Signal(1).register_handler("active-workers")(lambda: record("active"))', *MASTER, *CHEAP,
                         workers=3, up=1)  # fmt: skip
    server.send(1)
    assert server.expect(1, "active")[0].by == "worker1"
    more_workers(server, 2)
    server.send(1)
    server.expect(4, "active")
    assert sorted(event.by for event in server.events("active")[1:]) == ["worker1", "worker2", "worker3"]
    assert server.end() == 0


def test_a_worker_that_starts_later_gets_its_signals(uwsgi):
    """T3, D1: Its full queue blocks senders, then sends are rejected. It handles every accepted signal."""
    code = """
Signal(1).register_handler("workers")(lambda: record("work"))
Signal(2).register_handler("mule1")(lambda: fill(1, 0.2))
"""
    server = uwsgi.start(code, *MASTER, *CHEAP, "--mules", "1", workers=3, up=1)
    server.send(2)
    server.expect(1, "SignalQueueFull")
    sent = int((server.directory / "sent").read_text())
    assert sent > 50
    eventually("worker 1 has handled all", lambda: len(server.events("work")) == sent)
    assert {event.by for event in server.events("work")} == {"worker1"}
    more_workers(server, 2)
    eventually("all have", lambda: len(server.events("work")) == 3 * sent)
    by = [event.by for event in server.events("work")]
    assert {process: by.count(process) for process in by} == {f"worker{n}": sent for n in (1, 2, 3)}
    assert server.end() == 0


# Timers


def test_runs_for_a_full_queue_are_deferred(uwsgi):
    """K2: A timer with three repeats fires three times, although its queue was full each time."""
    code = """
from heliograph.runtime.scheduling import change_period, register_timer_rb

Signal(11).register_handler("worker")(lambda: None)
register_timer_rb(3600, repeat=3, target="worker", coalesce=False, name="thrice")(lambda: record("ran"))
register_timer_rb(3600, repeat=10, target="mule1", coalesce=False, name="later")(lambda: record("later"))

@Signal(12).register_handler("worker1")
def full():
    fill(11, 0)
    change_period("thrice", 0.01)
    change_period("later", 0.02)
    block_on("gate")
"""
    server = uwsgi.start(code, *MASTER, "--mules", "1", workers=1)
    server.send(12)
    server.expect(10, "later")
    assert server.events("ran") == []
    server.release("gate")
    assert len(server.expect(3, "ran")) == 3
    server.await_log("Deferred runs until a full queue has space: thrice")
    assert server.end() == 0


# Threads


def test_timers_work_without_enable_threads(uwsgi):
    """uWSGI 2.0.30 ignores `--enable-threads`, so triggers need only `--master`."""
    code = """
from heliograph.runtime.scheduling import register_timer
register_timer(0.1, target="worker2")(lambda: record("tick"))
"""
    server = uwsgi.start(code, "--master")
    assert server.expect(3, "tick")[0].by == "worker2"
    assert server.end() == 0


# Mules with programs


READS = {
    "message": "while True: uwsgi.mule_get_msg(signals=False)",
    "wait": "while True: uwsgi.signal_wait()",
    "wait any": "from heliograph import Signal\nwhile True: Signal.wait_any()",
}
LEAVES = {"default": "while True: uwsgi.mule_get_msg()", "sleep": "import time\nwhile True: time.sleep(1)"}
TO_MULE = """
Signal(1).register_handler("mule1")(lambda: record("work"))
Signal(2).register_handler("worker1")(lambda: fill(1, 0.3))
"""


@pytest.mark.parametrize("program", sorted(READS))
def test_a_mule_with_a_program_handles_signals(uwsgi, program):
    """If the program waits in `signal_wait()` or `mule_get_msg(signals=False)`."""
    server = uwsgi.start(TO_MULE, *MASTER, "--mule=prog.py", files=[("prog.py", "import uwsgi\n" + READS[program])])
    server.send(1, 3)
    assert {event.by for event in server.expect(3, "work")} == {"mule1"}
    assert server.end() == 0


@pytest.mark.parametrize("program", sorted(LEAVES))
def test_a_mule_with_a_program_that_reads_no_signals_blocks_senders(uwsgi, program):
    """D1: The send is rejected after its timeout, and uWSGI drops nothing."""
    server = uwsgi.start(TO_MULE, *MASTER, "--mule=prog.py", files=[("prog.py", "import uwsgi\n" + LEAVES[program])])
    server.send(2)
    server.expect(1, "SignalQueueFull")
    assert int((server.directory / "sent").read_text()) > 50
    assert server.events("work") == []
    assert "SIGNAL QUEUE IS FULL" not in server.log
    assert server.end() == 0
