"""Messages to systemd, on a real socket, from a real supervisor that the test drives."""

import logging
import os
import socket
import time
from pathlib import Path

import pytest

from heliograph._core.supervision.children import WEB_COMMAND, WEB_SERVER
from heliograph._core.supervision.events import (
    Due,
    Exited,
    ForkServerExited,
    ForkServerFailed,
    ForkServerReady,
    ProcessReady,
    ReloadRequested,
    Started,
    StartRequested,
    StopRequested,
)
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.loop import NEVER, Loop
from heliograph.models import Identity, Topology
from heliograph.server.dispatcher import Dispatcher
from heliograph.server.services.notify import (
    MAX_MESSAGES,
    MAX_RETRY_INTERVAL,
    MAX_STATUS,
    Notifier,
    describe,
    open_notifier,
    watchdog_interval,
)

MULE = Identity("mule", 1)
SERVER = Topology(workers=0, mules=1)
LOAD, READY = (StartRequested(), ForkServerReady(1)), (Started(MULE, 11, 1), ProcessReady(MULE))


class Systemd:
    """A server that is notified through `address`, and the socket at which the messages arrive."""

    def __init__(self, address):
        self.address = address
        self.supervisor = Supervisor(SERVER, graceful_timeout=30.0)
        self.socket = self.bind()
        self.notifier = Notifier(address, self.supervisor)

    def bind(self):
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        receiver.bind(self.address.replace("@", "\0"))
        return receiver

    def unbind(self):
        self.socket.close()
        Path(self.address).unlink(missing_ok=True)

    def handle(self, *events):
        """Let the supervisor handle events, and the notifier see them."""
        for event in events:
            self.supervisor.handle(event, 0.0)
            self.notifier.on_event(event)

    def messages(self):
        """The messages that arrived, each as a list of its lines."""
        found = []
        try:
            while True:
                found.append(self.socket.recv(4096).decode().split("\n"))
        except BlockingIOError:
            return found


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path):
    name = f"@heliograph-test-{os.getpid()}-{tmp_path.name}"
    systemd = Systemd(str(tmp_path / "notify") if request.param == "path" else name)
    yield systemd
    systemd.socket.close()


def test_ready_when_all_processes_are(systemd):
    """Not when the application is loaded, and once."""
    assert systemd.messages() == [["STATUS=Loading the application"]]
    systemd.handle(*LOAD, READY[0])
    assert systemd.messages() == []
    systemd.handle(READY[1])
    assert systemd.messages() == [["READY=1", "STATUS=1 of 1 processes, generation 1"]]
    systemd.handle(ProcessReady(MULE))
    assert systemd.messages() == []


def test_a_reload_begins_and_ends(systemd):
    """The message has the time of its beginning on the clock that systemd compares with. It asks for time."""
    systemd.handle(*LOAD, *READY)
    systemd.messages()
    before = time.monotonic_ns() // 1000
    systemd.handle(ReloadRequested())
    [[reloading, since, limit, status]] = systemd.messages()
    assert (reloading, status) == ("RELOADING=1", "STATUS=1 of 1 processes, generation 1, loading generation 2")
    assert before <= int(since.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert limit == "EXTEND_TIMEOUT_USEC=690000000"
    systemd.handle(ForkServerReady(2))
    assert systemd.messages() == []
    systemd.handle(Exited(MULE, "exit code 64", expected=True), Started(MULE, 12, 2))
    assert systemd.messages() == []
    systemd.handle(ProcessReady(MULE))
    assert systemd.messages() == [["READY=1", "STATUS=1 of 1 processes, generation 2"]]


def test_a_failed_reload_ends_too(systemd):
    """The old code serves on, and the status says what is wrong until a reload succeeds."""
    systemd.handle(*LOAD, *READY, ReloadRequested())
    systemd.messages()
    systemd.handle(ForkServerFailed(2, "Traceback:\n  line 1\nSyntaxError: invalid\n"))
    status = "STATUS=1 of 1 processes, generation 1. Generation 2 was not loaded: SyntaxError: invalid"
    assert systemd.messages() == [["READY=1", status]]
    systemd.handle(ForkServerExited(2, "exit code 1"), ReloadRequested(), ForkServerReady(3))
    systemd.handle(Exited(MULE, "exit code 64", expected=True), Started(MULE, 12, 3), ProcessReady(MULE))
    assert systemd.messages()[-1] == ["READY=1", "STATUS=1 of 1 processes, generation 3"]


def test_a_reload_during_a_reload(systemd):
    """systemd waits for one that began after its SIGHUP, and the server is ready when the last one is over."""
    systemd.handle(*LOAD, *READY, ReloadRequested(), ReloadRequested())
    assert [lines[0] for lines in systemd.messages()[2:]] == ["RELOADING=1", "RELOADING=1"]
    systemd.handle(ForkServerReady(2), Exited(MULE, "exit code 64", expected=True))
    systemd.handle(Started(MULE, 12, 2), ProcessReady(MULE))
    assert systemd.messages() == []
    systemd.handle(ForkServerFailed(3, "no"))
    assert [lines[0] for lines in systemd.messages()] == ["READY=1"]


def test_a_reload_before_the_server_is_ready(systemd):
    """For systemd it is still starting. It is ready when the second load is over."""
    systemd.handle(StartRequested(), ReloadRequested(), ForkServerReady(1), *READY)
    assert systemd.messages() == [["STATUS=Loading the application"]]
    systemd.handle(ForkServerReady(2), Exited(MULE, "exit code 64", expected=True))
    systemd.handle(Started(MULE, 12, 2), ProcessReady(MULE))
    assert systemd.messages() == [["READY=1", "STATUS=1 of 1 processes, generation 2"]]


def test_a_stop_is_the_last_message(systemd):
    """It asks for the time that the server takes at most. A second request changes nothing."""
    systemd.handle(*LOAD, *READY)
    systemd.messages()
    systemd.handle(StopRequested(), ReloadRequested(), StopRequested(), Exited(MULE, "exit code 0"))
    assert systemd.messages() == [["STOPPING=1", "EXTEND_TIMEOUT_USEC=63000000", "STATUS=Stopping"]]


def test_an_application_that_cannot_be_loaded(systemd):
    """The status has the reason. `systemctl status` shows it after the exit."""
    systemd.handle(StartRequested(), ForkServerFailed(1, "ImportError: no"))
    assert systemd.messages()[-1][::2] == ["STOPPING=1", "STATUS=Cannot load the application: ImportError: no"]


def test_a_missing_process_is_reported_if_it_stays_missing(systemd):
    """A process that is replaced within a second is no news."""
    systemd.handle(*LOAD, *READY, Exited(MULE, "killed by SIGKILL"))
    systemd.messages()
    at = systemd.notifier.deadline
    assert time.monotonic() < at <= time.monotonic() + 1.0
    systemd.notifier.tick(at)
    assert systemd.messages() == [["STATUS=0 of 1 processes, generation 1, missing: mule1"]]
    assert systemd.notifier.deadline == NEVER
    systemd.handle(Started(MULE, 12, 1))
    systemd.handle(Exited(MULE, "killed by SIGKILL"))
    systemd.notifier.tick(systemd.notifier.deadline)
    assert systemd.messages() == []


def test_a_missing_web_server_is_reported():
    """It is one of the processes."""
    supervisor = Supervisor(Topology(workers=1), commands={WEB_SERVER: WEB_COMMAND})
    supervisor.handle(StartRequested(), 0.0)
    supervisor.handle(ForkServerReady(1), 0.0)
    assert describe(supervisor) == "0 of 2 processes, generation 1, missing: worker1, web server"


def test_a_web_server_whose_processes_never_join(tmp_path):
    """The server is ready when the supervisor no longer waits for them. The status names them."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        supervisor = Supervisor(Topology(workers=1), commands={WEB_SERVER: WEB_COMMAND})
        notifier = Notifier(address, supervisor)
        for event, now in (*((event, 0.0) for event in (*LOAD, Started(WEB_SERVER, 20, 1))), (Due(), 15.0)):
            supervisor.handle(event, now)
            notifier.on_event(event)
        receiver.recv(4096)
        assert receiver.recv(4096) == b"READY=1\nSTATUS=1 of 2 processes, generation 1, missing: worker1"


def test_a_long_reason_is_cut():
    """systemd drops a message of more than 4096 bytes."""
    supervisor = Supervisor(SERVER)
    supervisor.handle(StartRequested(), 0.0)
    supervisor.handle(ForkServerFailed(1, "€" * 5000), 0.0)
    text = describe(supervisor)
    assert (len(text), text[-4:]) == (MAX_STATUS, "€...")


def test_messages_wait_until_systemd_reads_again(systemd, caplog):
    """They arrive in order. The master does not wait for them."""
    systemd.handle(*LOAD, *READY)
    reloads = 0
    while systemd.notifier.deadline == NEVER:  # until the queue of the socket is full
        systemd.handle(ReloadRequested())
        reloads += 1
    systemd.handle(StopRequested())
    messages = systemd.messages()
    assert [lines[0] for lines in messages[2:]] == ["RELOADING=1"] * (reloads - 1)
    systemd.notifier.tick(systemd.notifier.deadline)
    assert [lines[0] for lines in systemd.messages()] == ["RELOADING=1", "STOPPING=1"]
    assert systemd.notifier.deadline == NEVER
    assert len(caplog.records) == 1


def test_a_socket_that_is_gone_is_tried_again(systemd, caplog):
    """systemd opens it again when it is restarted. The log has one line, the waits grow, and old messages go."""
    systemd.unbind()
    systemd.handle(*LOAD, *READY)
    waits = []
    for _ in range(10):
        now = systemd.notifier.deadline
        systemd.notifier.tick(now)
        waits.append(round(systemd.notifier.deadline - now, 3))
    assert waits == sorted(waits)
    assert waits[-1] == MAX_RETRY_INTERVAL
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert systemd.address in caplog.text
    for _ in range(2 * MAX_MESSAGES):
        systemd.handle(ReloadRequested())
    systemd.socket = systemd.bind()
    systemd.handle(StopRequested())
    arrived = systemd.messages()
    while systemd.notifier.deadline != NEVER:
        systemd.notifier.tick(systemd.notifier.deadline)
        arrived += systemd.messages()
    assert [lines[0] for lines in arrived] == ["RELOADING=1"] * (MAX_MESSAGES - 1) + ["STOPPING=1"]


def test_the_watchdog_gets_a_message_at_each_interval(systemd):
    """None is added to others that wait: it would arrive late."""
    notifier = Notifier(systemd.address, systemd.supervisor, watchdog_interval=5.0)
    assert notifier.deadline < 0
    notifier.tick(100.0)
    assert systemd.messages()[-1] == ["WATCHDOG=1"]
    assert notifier.deadline == 105.0
    systemd.unbind()
    for now in (105.0, 110.0, 115.0):
        notifier.tick(now)
    systemd.socket = systemd.bind()
    notifier.tick(120.0)
    assert systemd.messages() == [["WATCHDOG=1"]]


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, NEVER),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, NEVER),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": ""}, NEVER),
        ({"WATCHDOG_USEC": "0"}, NEVER),
        ({"WATCHDOG_USEC": "soon"}, NEVER),
    ],
)
def test_the_interval_is_half_of_what_systemd_gives(environ, interval):
    """If the watchdog is meant for this process."""
    assert watchdog_interval(environ) == interval


def test_no_service_without_systemd(caplog):
    """And none for an address of another kind, such as that of a virtual machine's host."""
    with Loop() as loop:
        dispatcher = Dispatcher(Supervisor(SERVER))
        for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}):
            open_notifier(loop, dispatcher, environ)
        loop.stop(0)
    assert [record.getMessage() for record in caplog.records] == [
        "Cannot notify systemd: NOTIFY_SOCKET='vsock:2:1234' is neither an absolute path nor @NAME"
    ]


def test_the_loop_notifies_the_watchdog(systemd):
    """As a service of the master's loop, with the variables of systemd."""
    environ = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}
    systemd.messages()
    with Loop() as loop:
        dispatcher = Dispatcher(systemd.supervisor)
        open_notifier(loop, dispatcher, environ)
        for _ in range(8):
            loop.run_once()
        dispatcher.handle(StopRequested(), 0.0)
    messages = systemd.messages()
    assert [lines[0] for lines in messages[:3]] == ["STATUS=Loading the application", "WATCHDOG=1", "WATCHDOG=1"]
    assert messages[-1][0] == "STOPPING=1"
