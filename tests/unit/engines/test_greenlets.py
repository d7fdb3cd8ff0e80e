"""gevent, with modules and functions that have its names. `tests/e2e/web/test_web_gevent.py` runs the real one."""

import sys
import threading
from types import SimpleNamespace

from heliograph._core.signals.records import IN_FLIGHT_BYTES
from heliograph._core.stats.counters import SLOT_BYTES, Counters
from heliograph.engines.local import greenlets, hub_receiver
from heliograph.engines.local.receiver import Receiver
from heliograph.engines.local.thread_receiver import ThreadReceiver
from heliograph.ipc.inherited import ProcessSettings
from heliograph.models import Topology

SETTINGS = ProcessSettings(Topology(), "tasks")


class Greenlet:
    """A greenlet that has not begun."""

    dead = False


def fake_gevent(monkeypatch, *patched):
    """Make `sys.modules` that of a process in which gevent has replaced these modules. Return what it spawns."""
    spawned = []

    def spawn(function):
        spawned.append(function)
        return Greenlet()

    monkey = SimpleNamespace(is_module_patched=patched.__contains__)
    monkeypatch.setitem(sys.modules, "gevent", SimpleNamespace(spawn=spawn, getcurrent=Greenlet, Greenlet=Greenlet))
    monkeypatch.setitem(sys.modules, "gevent.monkey", monkey)
    return spawned


def started_within(module, function, **scope):
    """Start a function in a function of that module and name. Return the function and the thread or greenlet."""

    def run():
        pass

    exec(f"def {function}(worker):\n    return start()", scope := {"__name__": module, **scope})
    scope["start"] = lambda: greenlets.start(run, "name")
    return run, scope[function](scope.get("worker"))


def worker_of(module):
    """An object of a class that inherits from a class of that module."""
    base = type("Base", (), {"__module__": module})
    return type("Worker", (base,), {})()


def test_a_plain_process_uses_a_thread():
    """Also one that has imported gevent and replaced no threads."""
    run, thread = started_within("gunicorn.arbiter", "spawn_worker", worker=worker_of("gunicorn.workers.sync"))
    assert isinstance(thread, threading.Thread)
    thread.join()
    assert not greenlets.is_patched()
    assert not greenlets.in_greenlet()
    assert (hub_receiver.receiver_class(Receiver, SETTINGS), hub_receiver.receiver_class(ThreadReceiver, SETTINGS)) == (
        Receiver,
        ThreadReceiver,
    )
    assert run() is None


def test_a_process_with_replaced_threads_uses_a_greenlet(monkeypatch):
    """A web worker and a mule have receivers that wait on the hub."""
    spawned = fake_gevent(monkeypatch, "threading")
    run, background = started_within("shop.web", "serve")
    assert spawned == [run]
    assert background.is_alive()
    assert greenlets.in_greenlet()
    assert hub_receiver.receiver_class(ThreadReceiver, SETTINGS) is hub_receiver.GreenletReceiver
    assert hub_receiver.receiver_class(Receiver, SETTINGS) is hub_receiver.HubReceiver


def test_a_preloaded_application_in_a_new_gevent_worker_uses_a_greenlet(monkeypatch):
    """gunicorn forks the worker first, and the worker replaces threads then. Its class may inherit from gunicorn's."""
    spawned = fake_gevent(monkeypatch)
    run, _ = started_within("gunicorn.arbiter", "spawn_worker", worker=worker_of("gunicorn.workers.ggevent"))
    assert spawned == [run]


def test_a_receiver_on_the_hub_pauses_without_stopping_the_other_greenlets(monkeypatch):
    """It sleeps by gevent, also if gevent has not replaced `time.sleep`."""
    fake_gevent(monkeypatch, "threading")
    gevent = sys.modules["gevent"]
    gevent.sleep = lambda _: None
    gevent.get_hub = lambda: SimpleNamespace(loop=SimpleNamespace(io=lambda _fd, _events: None))
    slot = Counters(memoryview(bytearray(SLOT_BYTES)), 1).slots[0]
    receiver = hub_receiver.receiver_class(ThreadReceiver, SETTINGS)(
        [], [], memoryview(bytearray(IN_FLIGHT_BYTES)), slot, {}
    )
    assert receiver._sleep is gevent.sleep
