"""uwsgiconf's spooler, messages and offloaded functions on a real server."""

from __future__ import annotations

import fcntl
import os
import signal

import pytest

from heliograph.testing.harness.harness import eventually

APPLICATION = """
import threading
from datetime import timedelta
from heliograph.runtime.mules import Farm, Mule, mule_offload
from heliograph.runtime.spooler import ResultRescheduled, Spooler, SpoolerTask

Spooler.set_period(1)

@Spooler.task()
def resize(path, width=1):
    record(f"resize:{path}:{width}")
    if width == 2 and not Path("second").exists():
        Path("second").touch()
        return ResultRescheduled()

class Order(SpoolerTask):
    type_id = "order"

    def process(self):
        record(f"order:{self.payload['number']}")

@mule_offload(2)
def count(number):
    record(f"count:{number}")

@Farm("crunchers").offload(allow_pickle=True)
def crunch(numbers):
    record(f"crunch:{len(numbers)}:{type(numbers).__name__}")

@uwsgi.postfork_hooks.add()
def read():
    def loop():
        while True:
            record(f"message:{Mule.get_message()}")
    if Mule.get_current_id() == 1:
        threading.Thread(target=loop, daemon=True).start()

go = Signal(1)

@go.register_handler("worker")
def send():
    resize("a")
    resize("b", width=2)
    Spooler.send_message_raw(**Order.build_message(payload={"number": 7}))
    count(3)
    crunch({1, 2})
    Mule(1).send("hello")
    record(f"spooler:{Spooler.get_pids()}")
"""

EXPECTED = {
    *(("resize:a:1", "spooler1"), ("resize:b:2", "spooler1"), ("order:7", "spooler1"), ("count:3", "mule2")),
    ("message:hello", "mule1"),
}


def events(server):
    return [event for event in server.events() if event.what.partition(":")[0] != "ready"]


@pytest.fixture
def running(server):
    server.start(APPLICATION, "--workers", "1", "--mules", "2", "--farm", "crunchers=1,2", "--spooler", "spool")
    return server


def wait_for(server, *whats):
    eventually(f"{whats} in {server.log}", lambda: {event.what for event in events(server)} >= set(whats))


def test_calls_and_messages_reach_their_processes(running):
    assert running.command("send", "1").returncode == 0
    wait_for(running, *(what for what, _ in EXPECTED), "crunch:2:set")
    found = {(event.what, event.by) for event in events(running)}
    assert found >= EXPECTED
    (pid,) = {event.pid for event in events(running) if event.what == "order:7"}
    assert f"spooler:[{pid}]" in {what for what, _ in found}
    eventually("the second run", lambda: [event.what for event in events(running)].count("resize:b:2") == 2)


def stop_between_transactions(server, pid):
    """Stop a process while it does not hold the lock of the store, so that the others can go on."""

    def stop():
        os.kill(pid, signal.SIGSTOP)
        store = os.open(server.directory / "spool", os.O_RDONLY)
        try:
            fcntl.flock(store, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.kill(pid, signal.SIGCONT)
            return False
        finally:
            os.close(store)
        return True

    eventually("the process to be stopped", stop)


def test_a_message_waits_for_a_mule_that_was_killed(running):
    mule = running.pids()["mule1"]
    stop_between_transactions(running, mule)
    assert running.command("send", "1").returncode == 0
    wait_for(running, "order:7", "count:3")
    os.kill(mule, signal.SIGKILL)
    wait_for(running, "message:hello")
    (reader,) = {event.pid for event in events(running) if event.what == "message:hello"}
    assert reader != mule
