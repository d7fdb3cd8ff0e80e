"""Real uWSGI in modes that the conformance stages leave out: what is refused says so, and nothing is lost unsaid."""

from __future__ import annotations

import os
import signal

import pytest

from heliograph.cli.uwsgi_server import find
from heliograph.testing.harness.harness import eventually

THREADS = ("--enable-threads",)
MASTER = ("--master", *THREADS)

UP = """
@Signal(99).register_handler("workers")
def up(): record("up")

@uwsgi.postfork_hooks.add()
def forked():
    if uwsgi.worker_id == 1:
        Signal(99).send()
"""
"""What applications begin with: each worker says when it handles signals."""

KEEP = """
def keep(text):
    with open("said", "a") as said:
        said.write(text + "\\n")

def attempt(what, *args):
    try:
        what(*args)
        keep("no error")
    except Exception as error:
        keep(f"{type(error).__name__}: {error}")
"""

FILL = """
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
"""Send until it is refused; how many went before is in the file `sent`."""


class Uwsgi:
    """One real uWSGI, with flags of its own."""

    def __init__(self, server):
        self.server = server

    def start(self, code, *flags, workers=2, up=True, files=()):
        """Start it, and wait until it is up: all workers, or so many."""
        self.server.write((UP if up else "") + code)
        for name, text in files:
            (self.server.directory / name).write_text(text)
        installation = find()
        command = [*installation.command, *installation.flags, *flags, "--need-app", "--die-on-term", "--vacuum"]
        command += ["--processes", str(workers), "--socket", "remote.sock", "--pythonpath", str(self.server.directory)]
        self.server.process = self.server.popen(*command, "--module", "heliograph.cli.uwsgi_entry", "--set", APP)
        if up:
            self.server.expect(workers if up is True else up, "up")
        return self.server

    def said(self):
        """Lines of `keep`."""
        path = self.server.directory / "said"
        return path.read_text().splitlines() if path.exists() else []


APP = "heliograph-app=tasks"


@pytest.fixture
def uwsgi(server):
    return Uwsgi(server)


def count(server, what):
    """How often it was said; for many thousands."""
    path = server.directory / "events"
    return path.read_bytes().count(f"{what} ".encode()) if path.exists() else 0


def pid_of(server, who, what="up"):
    return next(event.pid for event in reversed(server.events(what)) if event.by == who)


# Without a master


def test_without_a_master_registering_is_an_error_that_says_what_to_start(uwsgi):
    """K10, S11: a signal, a timer, a cron rule; a file monitor too, for which uWSGI alone would crash. It serves on."""
    code = (
        KEEP
        + """
from heliograph.runtime.scheduling import get_triggers, register_cron, register_timer
from heliograph.runtime.monitoring import register_file_monitor

def work(): record("work")

for decorator in (Signal(1).register_handler(), register_timer(1), register_cron(hour=3), register_file_monitor(".")):
    attempt(decorator, work)
attempt(Signal(1).send)
keep(f"{Signal(1).registered} {get_triggers()}")
"""
    )
    server = uwsgi.start(code, *THREADS, up=False)
    said = eventually("five errors", lambda: len(uwsgi.said()) == 6 and uwsgi.said())
    assert all("start it with --master" in line for line in said[:4]), said
    assert said[4] != "no error"
    assert said[5] == "False ()"
    server.await_log("spawned uWSGI worker 2")
    assert "segmentation" not in server.log.lower()
    assert server.process.poll() is None


# With fewer workers than there may be


CHEAP = ("--cheaper", "1", "--cheaper-initial", "1", "--cheaper-algo", "manual", "--master-fifo", "fifo")
"""One worker; nobody but us says when there are more, or fewer."""


def more_workers(server, times):
    """Tell the master to start so many, and wait for each."""
    for up in range(len(server.events("up")), len(server.events("up")) + times):
        (server.directory / "fifo").write_text("+")
        server.expect(up + 1, "up")


def test_active_workers_reaches_those_that_run(uwsgi):
    """T4: one of three, and all three when they are up."""
    server = uwsgi.start('Signal(1).register_handler("active-workers")(lambda: record("active"))', *MASTER, *CHEAP,
                         workers=3, up=1)  # fmt: skip
    server.send(1)
    assert server.expect(1, "active")[0].by == "worker1"
    more_workers(server, 2)
    server.send(1)
    server.expect(4, "active")
    assert sorted(event.by for event in server.events("active")[1:]) == ["worker1", "worker2", "worker3"]
    assert server.end() == 0


def test_a_worker_that_is_not_up_gets_its_signals_when_it_is(uwsgi):
    """T3, D1: its queue fills and holds senders back, then they are refused; every signal that was taken is handled."""
    code = (
        FILL
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
    assert {who: by.count(who) for who in by} == {f"worker{n}": sent for n in (1, 2, 3)}
    assert server.end() == 0


# Timers


def test_runs_that_find_their_queue_full_are_put_off(uwsgi):
    """K2: a timer that repeats three times does so, though all three came up while its queue was full."""
    code = (
        FILL
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
    server.await_log("put off until there is room in a full queue: thrice")
    assert server.end() == 0


# Threads


def test_uwsgi_has_threads_unasked(uwsgi):
    """In 2.0.30 `--enable-threads` changes nothing: what raises signals by itself needs no flag but --master."""
    code = """
from heliograph.runtime.scheduling import register_timer
register_timer(0.1, target="worker2")(lambda: record("tick"))
"""
    server = uwsgi.start(code, "--master")
    assert server.expect(3, "tick")[0].by == "worker2"
    assert server.end() == 0


# Mules with programs of their own


READS = {
    "message": "while True: uwsgi.mule_get_msg(signals=False)",
    "wait": "while True: uwsgi.signal_wait()",
    "wait any": "from heliograph import Signal\nwhile True: Signal.wait_any()",
}
LEAVES = {"default": "while True: uwsgi.mule_get_msg()", "sleep": "import time\nwhile True: time.sleep(1)"}
TO_MULE = (
    FILL
    + """
Signal(1).register_handler("mule1")(lambda: record("work"))
Signal(2).register_handler("worker1")(lambda: fill(1, 0.3))
"""
)


@pytest.mark.parametrize("program", sorted(READS))
def test_a_programmed_mule_that_reads_signals_handles_them(uwsgi, program):
    """Within `signal_wait` and `mule_get_msg(signals=False)`."""
    server = uwsgi.start(TO_MULE, *MASTER, "--mule=prog.py", files=[("prog.py", "import uwsgi\n" + READS[program])])
    server.send(1, 3)
    assert {event.by for event in server.expect(3, "work")} == {"mule1"}
    assert server.end() == 0


@pytest.mark.parametrize("program", sorted(LEAVES))
def test_a_programmed_mule_that_reads_none_holds_senders_back(uwsgi, program):
    """D1: with uWSGI's defaults signals wait; a sender is held back, then refused, and nothing is dropped."""
    server = uwsgi.start(TO_MULE, *MASTER, "--mule=prog.py", files=[("prog.py", "import uwsgi\n" + LEAVES[program])])
    server.send(2)
    server.expect(1, "SignalQueueFull")
    assert int((server.directory / "sent").read_text()) > 50
    assert server.events("work") == []
    assert "SIGNAL QUEUE IS FULL" not in server.log
    assert server.end() == 0


# Beside other libraries


def test_a_hook_that_another_library_had_set_runs_too(uwsgi):
    """Set before heliograph is imported: in each worker, and so does ours."""
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


def test_a_hook_that_another_library_sets_later_takes_nothing_away(uwsgi):
    """It runs beside our hooks, also if it calls the one that it found; timers tick."""
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


def test_raw_signals_beside_ours(uwsgi):
    """Each is handled once; a number that the raw module has is refused, naming what to do."""
    code = (
        KEEP
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
    assert uwsgi.said()[0].startswith("AlreadyRegistered: ")
    assert "use another number" in uwsgi.said()[0]
    server.send(2)
    server.expect(100, "ours")
    server.expect(100, "raw10")
    server.send(1)
    server.expect(101, "ours")
    assert len(server.events("raw10")) == 100
    assert server.end() == 0


def test_a_process_that_a_handler_forks(uwsgi):
    """It may send, it leaves its parent's accounts alone, and no timer ticks in it."""
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


def test_sources_outlive_worker_1(uwsgi):
    """K9: what is watched was removed when worker 1 is started again: it is watched on, and timers and hooks run."""
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


def test_after_a_reload_all_works_again(uwsgi):
    """D4: what was queued is lost as uWSGI loses it; then room, order and accounts are those of a new server."""
    code = (
        FILL
        + """
@Signal(1).register_handler("mule1")
def work():
    if not Path("gate").exists():
        record("holds")
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
    assert len(server.events("holds")) == 1
    server.process.send_signal(signal.SIGHUP)
    eventually("the mule is gone", lambda: not alive(pid_of(server, "mule1", "holds")))
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
    """T7, D1: each signal is handled once, by one of them."""
    code = "Signal(3).register_handler('spooler')(lambda num: record(f'work{num}'))" + BURST
    (uwsgi.server.directory / "one").mkdir()
    (uwsgi.server.directory / "two").mkdir()
    server = uwsgi.start(code, *MASTER, "--spooler", "one", "--spooler", "two")
    server.send(4, 2)
    assert {event.by for event in server.expect(1000, "work3")} <= {"spooler1", "spooler2"}
    assert len(server.events("work3")) == 1000
    assert server.end() == 0


FARMS = ("--mules", "3", "--farm", "big:1,2", "--farm", "small:3")


def test_several_farms_share_a_burst(uwsgi):
    """T6, D1: bursts to two farms; each signal is handled once, by a member."""
    code = """
for num, target in ((1, "farm_big"), (2, "farm2")):
    Signal(num).register_handler(target)(lambda num: record(f"work{num}"))
"""
    server = uwsgi.start(code + BURST, *MASTER, *FARMS)
    server.send(4, 2)
    for num, who in {1: {"mule1", "mule2"}, 2: {"mule3"}}.items():
        assert {event.by for event in server.expect(1000, f"work{num}")} <= who
        assert len(server.events(f"work{num}")) == 1000
    assert server.end() == 0


def test_many_processes_lose_nothing(uwsgi):
    """D1: ten workers send to eight mules at once, and to each other."""
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
