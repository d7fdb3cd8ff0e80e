"""Real uWSGI in modes that the conformance suite does not cover."""

from __future__ import annotations

import os
import signal

import pytest

from heliograph.cli.uwsgi_server import find
from heliograph.testing.harness.harness import eventually

THREADS = ("--enable-threads",)
MASTER = ("--master", *THREADS)

REPORT_READY = """
@Signal(99).register_handler("workers")
def up(): record("up")

@uwsgi.postfork_hooks.add()
def forked():
    if uwsgi.worker_id == 1:
        Signal(99).send()
"""
"""Code for applications: each worker reports that it handles signals."""

RECORD_OUTCOMES = """
def record_outcome(text):
    with open("outcomes", "a") as file:
        file.write(text + "\\n")

def attempt(what, *args):
    try:
        what(*args)
        record_outcome("no error")
    except Exception as error:
        record_outcome(f"{type(error).__name__}: {error}")
"""

FILL_QUEUE = """
def fill(num, timeout):
    sent = 0
    try:
        while True:
            Signal(num).send(timeout=timeout)
            sent += 1
    except TimeoutError as error:
        Path("sent").write_text(str(sent))
        record(type(error).__name__)
"""
"""Code for applications: send until the queue is full, and write the number of accepted signals to `sent`."""


class Uwsgi:
    """A real uWSGI server."""

    def __init__(self, server):
        self.server = server

    def start(self, code, *flags, workers=2, up=True, files=()):
        """Start uWSGI and wait until all workers are ready, or as many as `up` says."""
        self.server.write((REPORT_READY if up else "") + code)
        for name, text in files:
            (self.server.directory / name).write_text(text)
        installation = find()
        command = [*installation.command, *installation.flags, *flags, "--need-app", "--die-on-term", "--vacuum"]
        command += ["--processes", str(workers), "--socket", "remote.sock", "--pythonpath", str(self.server.directory)]
        self.server.process = self.server.popen(*command, "--module", "heliograph.cli.uwsgi_entry", "--set", APP)
        if up:
            self.server.expect(workers if up is True else up, "up")
        return self.server

    def outcomes(self):
        """Return the outcomes that the application has written."""
        path = self.server.directory / "outcomes"
        return path.read_text().splitlines() if path.exists() else []


APP = "heliograph-app=tasks"


@pytest.fixture
def uwsgi(server):
    return Uwsgi(server)


def count(server, what):
    """Return the number of events with this text. Faster than `events()` for thousands."""
    path = server.directory / "events"
    return path.read_bytes().count(f"{what} ".encode()) if path.exists() else 0


def pid_of(server, process, what="up"):
    return next(event.pid for event in reversed(server.events(what)) if event.by == process)


# Without a master


def test_registration_without_a_master_is_an_error(uwsgi):
    """K10, S11: For a signal, timer, cron rule and file monitor. The message names `--master`, and uWSGI continues."""
    code = (
        RECORD_OUTCOMES
        + """
from heliograph.runtime.scheduling import get_triggers, register_cron, register_timer
from heliograph.runtime.monitoring import register_file_monitor

def work(): record("work")

for decorator in (Signal(1).register_handler(), register_timer(1), register_cron(hour=3), register_file_monitor(".")):
    attempt(decorator, work)
attempt(Signal(1).send)
record_outcome(f"{Signal(1).registered} {get_triggers()}")
"""
    )
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
    code = (
        FILL_QUEUE
        + """
Signal(1).register_handler("workers")(lambda: record("work"))
Signal(2).register_handler("mule1")(lambda: fill(1, 0.2))
"""
    )
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
    code = (
        FILL_QUEUE
        + """
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
    )
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
TO_MULE = (
    FILL_QUEUE
    + """
Signal(1).register_handler("mule1")(lambda: record("work"))
Signal(2).register_handler("worker1")(lambda: fill(1, 0.3))
"""
)


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


# Other libraries


def test_an_earlier_post_fork_hook_runs_too(uwsgi):
    """Another library set it before heliograph was imported."""
    code = """
import uwsgi as raw
from heliograph.runtime.scheduling import register_timer
register_timer(0.1, target="worker2")(lambda: record("tick"))
uwsgi.postfork_hooks.add()(lambda: record("ours"))
"""
    theirs = "import os, uwsgi\nuwsgi.post_fork_hook = lambda: os.close(os.open(f'theirs{os.getpid()}', os.O_CREAT))\n"
    server = uwsgi.start(code, *MASTER, "--shared-pyimport", "theirs", files=[("theirs.py", theirs)])
    server.expect(2, "ours")
    server.expect(3, "tick")
    assert len(list(server.directory.glob("theirs[0-9]*"))) == 2
    assert server.end() == 0


def test_a_later_post_fork_hook_runs_too(uwsgi):
    """Also if it calls the hook that it found. The hooks of heliograph run, and timers fire."""
    code = """
import uwsgi as raw
from heliograph.runtime.scheduling import register_timer

@register_timer(0.1, target="mule1")
def tick():
    record("tick")

@uwsgi.postfork_hooks.add()
def ours():
    record("ours")

found = raw.post_fork_hook
def theirs():
    found()
    record("theirs")
Signal(1).register_handler("mule1")(lambda: record("work"))

@Signal(2).register_handler("worker1")
def burst():
    for _ in range(2000):
        Signal(1).send(timeout=20)

raw.post_fork_hook = lambda: record("replaced")
raw.post_fork_hook = theirs
"""
    server = uwsgi.start(code, *MASTER, "--mules", "1", up=False)
    server.expect(3, "theirs")
    eventually("ticks", lambda: count(server, "tick") >= 3)
    assert (count(server, "ours"), count(server, "theirs"), count(server, "replaced")) == (3, 3, 0)
    server.send(2)
    eventually("a burst", lambda: count(server, "work") == 2000)
    assert "SIGNAL QUEUE IS FULL" not in server.log
    assert server.end() == 0


def test_signals_of_the_uwsgi_module_work_too(uwsgi):
    """Each is handled once. heliograph rejects a number that the module has registered."""
    code = (
        RECORD_OUTCOMES
        + """
import uwsgi as raw
raw.register_signal(10, "mule1", lambda num: record(f"raw{num}"))
attempt(Signal(10).register_handler("mule1"), record)
Signal(1).register_handler("mule1")(lambda: record("ours"))

@Signal(2).register_handler("worker1")
def both():
    for _ in range(50):
        raw.signal(10)
        raw.signal(1)
        Signal(1).send()
        Signal(10).send()
"""
    )
    server = uwsgi.start(code, *MASTER, "--mules", "1")
    assert uwsgi.outcomes()[0].startswith("AlreadyRegistered: ")
    assert "Use another number" in uwsgi.outcomes()[0]
    server.send(2)
    server.expect(100, "ours")
    server.expect(100, "raw10")
    server.send(1)
    server.expect(101, "ours")
    assert len(server.events("raw10")) == 100
    assert server.end() == 0


def test_a_child_process_can_send(uwsgi):
    """It does not change its parent's counters, and no timer fires in it."""
    code = """
from heliograph.runtime.scheduling import register_timer
register_timer(0.05, target="mule1", name="tick")(lambda: record("tick"))
Signal(1).register_handler("mule1")(lambda: record("work"))

@Signal(2).register_handler("worker1")
def fork():
    if os.fork():
        os.wait()
        record("parent")
    else:
        time.sleep(0.3)
        Signal(1).send()
        os._exit(0)

Signal(3).register_handler("worker1")(lambda: record(f"sent{engines.current().counters.total('sent', 1)}"))
"""
    server = uwsgi.start(code, *MASTER, "--mules", "1")
    server.expect(1, "tick")
    server.send(2)
    server.expect(1, "work")
    assert server.expect(1, "parent")[0].pid == pid_of(server, "worker1")
    server.send(3)
    server.expect(1, "sent1")
    since = len(server.events("tick"))
    server.expect(since + 3, "tick")
    assert server.end() == 0


def test_triggers_survive_worker_1(uwsgi):
    """K9: Worker 1 is replaced after the watched file was removed. The monitor, timers and hooks continue."""
    code = """
from heliograph.runtime.monitoring import register_file_monitor
from heliograph.runtime.scheduling import register_timer
register_file_monitor("watched", target="mule1", name="file")(lambda: record("changed"))
register_timer(0.1, target="mule1", name="tick")(lambda: record("tick"))
uwsgi.postfork_hooks.add()(lambda: record("hook"))
"""
    server = uwsgi.start(code, *MASTER, "--mules", "1", files=[("watched", "")])
    server.expect(1, "tick")
    (server.directory / "watched").unlink()
    server.expect(1, "changed")
    os.kill(pid_of(server, "worker1"), signal.SIGKILL)
    server.expect(4, "hook")
    server.expect(len(server.events("tick")) + 3, "tick")
    since = len(server.events("changed"))
    (server.directory / "watched").touch()
    server.expect(since + 1, "changed")
    assert server.end() == 0


# Reload


def test_a_reload_resets_queues_and_counters(uwsgi):
    """D4: uWSGI loses the queued signals. Capacity, order and counters are those of a new server."""
    code = (
        FILL_QUEUE
        + """
@Signal(1).register_handler("mule1")
def work():
    if not Path("gate").exists():
        record("blocks")
        block_on("gate")
    record("work")

Signal(2).register_handler("worker1")(lambda: fill(1, 0.2))
Signal(3).register_handler("worker2")(lambda: record(f"done{engines.current().counters.total('done', 1)}"))

@Signal(4).register_handler("worker1")
def burst():
    for _ in range(3000):
        Signal(1).send(timeout=20)
    record("burst")
"""
    )
    server = uwsgi.start(code, *MASTER, "--mules", "1")
    server.send(2)
    server.expect(1, "SignalQueueFull")
    assert len(server.events("blocks")) == 1
    server.process.send_signal(signal.SIGHUP)
    eventually("the mule is gone", lambda: not alive(pid_of(server, "mule1", "blocks")))
    server.release("gate")
    server.expect(4, "up")
    assert server.events("work") == []
    server.send(3)
    server.expect(1, "done0")
    server.send(4)
    server.expect(1, "burst")
    eventually("all of the burst", lambda: count(server, "work") >= 3000)
    server.send(1)
    eventually("one more", lambda: count(server, "work") == 3001)
    server.send(3)
    server.expect(1, "done3001")
    assert server.end() == 0


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# Many processes


BURST = """
@Signal(4).register_handler("worker1")
def burst():
    for _ in range(500):
        for num in (1, 2, 3):
            if Signal(num).registered:
                Signal(num).send(timeout=20)
"""


def test_two_spoolers_share_a_burst(uwsgi):
    """T7, D1: One of them handles each signal once."""
    code = "Signal(3).register_handler('spooler')(lambda num: record(f'work{num}'))" + BURST
    (uwsgi.server.directory / "one").mkdir()
    (uwsgi.server.directory / "two").mkdir()
    server = uwsgi.start(code, *MASTER, "--spooler", "one", "--spooler", "two")
    server.send(4, 2)
    assert {event.by for event in server.expect(1000, "work3")} <= {"spooler1", "spooler2"}
    assert len(server.events("work3")) == 1000
    assert server.end() == 0


FARMS = ("--mules", "3", "--farm", "big:1,2", "--farm", "small:3")


def test_two_farms_share_a_burst(uwsgi):
    """D1, T6: One mule of the farm handles each signal once."""
    code = """
for num, target in ((1, "farm_big"), (2, "farm2")):
    Signal(num).register_handler(target)(lambda num: record(f"work{num}"))
"""
    server = uwsgi.start(code + BURST, *MASTER, *FARMS)
    server.send(4, 2)
    for num, process in {1: {"mule1", "mule2"}, 2: {"mule3"}}.items():
        assert {event.by for event in server.expect(1000, f"work{num}")} <= process
        assert len(server.events(f"work{num}")) == 1000
    assert server.end() == 0


def test_many_processes_lose_nothing(uwsgi):
    """D1: Ten workers send to eight mules at the same time."""
    code = """
Signal(1).register_handler("mules")(lambda: record("each"))
Signal(2).register_handler("mule")(lambda: record("any"))

@Signal(3).register_handler("workers")
def burst():
    for _ in range(200):
        Signal(1).send(timeout=20)
        Signal(2).send(timeout=20)
    record("sent")
"""
    server = uwsgi.start(code, *MASTER, "--mules", "8", workers=10)
    server.send(3)
    eventually("all have sent", lambda: count(server, "sent") == 10, 40)
    eventually("all is handled", lambda: (count(server, "each"), count(server, "any")) == (16_000, 2000))
    assert "SIGNAL QUEUE IS FULL" not in server.log
    assert server.end() == 0
