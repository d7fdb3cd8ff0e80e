"""A master that cannot start leaves nothing behind. How it runs is in the end-to-end tests."""

import errno
import gc
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from heliograph.application import AppSpec
from heliograph.exceptions import ConfigError
from heliograph.ipc import instance
from heliograph.server import master
from heliograph.server.master import Master
from heliograph.settings.addresses import Address
from heliograph.settings.options import ServerSettings

WATCHED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def home(directory, monkeypatch):
    """Keep sockets, locks and last runs of these servers in a directory of the test."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    monkeypatch.setenv("XDG_STATE_HOME", str(directory))


def settings_for(listen=None):
    address = Address.parse(listen) if listen else None
    return ServerSettings(AppSpec("no_such_app"), workers=2, mules=3, name="unit", listen=address)


def state():
    """Return what a failed start must not change."""
    gc.collect()  # The mapping of the shared memory has a descriptor too, before Python 3.13.
    handlers = {number: signal.getsignal(number) for number in WATCHED}
    descriptors = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    return descriptors, handlers, signal.set_wakeup_fd(-1)


def fail(*_args, **_options):
    raise OSError(errno.EMFILE, "Too many open files")


def test_an_address_in_use(directory):
    """The error names the address. No descriptor stays open, and the name is free again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        before = state()
        for _ in range(3):
            with pytest.raises(
                ConfigError, match=f"--socket 127.0.0.1:{port}: cannot listen there: Address already in use"
            ):
                Master(settings_for(listen=f"127.0.0.1:{port}")).run()
        assert state() == before
    instance.InstanceLock("unit").release()
    assert list((directory / "heliograph").iterdir()) == []


@pytest.mark.parametrize(
    "part",
    ["ServerQueues", "Reports", "PidfdWatcher", "LastRunStore", "SchedulerService", "ControlServer", "UnixSignals"],
)
def test_a_part_that_cannot_be_opened(directory, monkeypatch, part):
    """Whichever it is, everything that was opened before is closed."""
    target = getattr(master, part)
    factory = {"ServerQueues": "create", "LastRunStore": "of_server"}.get(part)
    if factory is not None:
        monkeypatch.setattr(target, factory, fail)
    else:
        monkeypatch.setattr(master, part, fail)
    before = state()
    for _ in range(3):
        with pytest.raises(OSError, match="Too many open files"):
            Master(settings_for(listen=str(directory / "signals"))).run()
    assert state() == before
    assert not (directory / "signals").exists()
    instance.InstanceLock("unit").release()


def test_a_name_in_use():
    """The running server keeps it."""
    lock = instance.InstanceLock("unit")
    before = state()
    with pytest.raises(ConfigError, match="already running: 'unit'"):
        Master(settings_for()).run()
    assert state() == before
    with pytest.raises(ConfigError, match="already running: 'unit'"):
        instance.InstanceLock("unit")
    lock.release()


def test_a_fork_server_that_cannot_be_started(monkeypatch, caplog):
    """At the start, the server exits with code 2 and one line that says why. Nothing is left open."""
    caplog.set_level("INFO")
    monkeypatch.setattr(os, "memfd_create", _fail_for(os.memfd_create, "heliograph-triggers"))
    before = state()
    assert Master(settings_for()).run() == 2
    assert state() == before
    assert "Starting heliograph" in caplog.messages[0]
    assert f"pid {os.getpid()}, engine local, application no_such_app" in caplog.messages[0]
    reason = "Cannot load the application: cannot start the fork server: Too many open files"
    assert caplog.messages[1] == reason
    assert caplog.messages[2].startswith("Stopped (exit code 2, after ")
    assert not [record for record in caplog.records if record.exc_info]


def test_a_stop_is_answered_when_the_addresses_are_free(directory, monkeypatch):
    """A client that starts the next server at once can use the name, the port and the socket file."""
    free = []

    class Changes(master.Changes):
        def stopped(self, code, **options):
            instance.InstanceLock("unit").release()
            with socket.create_server(("127.0.0.1", port)):
                free.append(code)
            super().stopped(code, **options)

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setattr(master, "Changes", Changes)
    monkeypatch.setattr(os, "memfd_create", _fail_for(os.memfd_create, "heliograph-triggers"))
    assert Master(settings_for(listen=f"127.0.0.1:{port}")).run() == 2
    assert free == [2]


def test_a_thread(directory):
    """Only the main thread can handle Unix signals. Nothing is left open, and the name stays free."""
    errors = []

    def run():
        try:
            Master(settings_for()).run()
        except ConfigError as error:
            errors.append(str(error))

    before = state()
    thread = threading.Thread(target=run, name="background")
    thread.start()
    thread.join()
    assert errors == ["cannot run a server in thread 'background'. Call serve() in the main thread."]
    assert state() == before
    assert list((directory / "heliograph").iterdir()) == []


def _fail_for(function, name):
    def memfd_create(wanted, *args):
        return fail() if wanted == name else function(wanted, *args)

    return memfd_create
