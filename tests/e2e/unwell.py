"""Ways in which a server can be unwell, each made real, for tests of everything that shows the state of a server.

Each scenario gets a server that is not started, and returns when nothing but time is needed for the problem to show.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from heliograph.testing.harness.harness import eventually
from heliograph.triggers.last_runs import LastRun, LastRunStore

HANDLERS = """
from heliograph import register_cron, register_file_monitor, register_timer, task
from heliograph.exceptions import SignalQueueFull

@Signal(1).register_handler("mule1")
def block():
    record("blocking")
    block_on("gate")

@Signal(2).register_handler("mule1")
def quick():
    record("quick")

@Signal(3).register_handler("worker")
def fill():
    # Until the queue of mule1, which is blocked, takes no more.
    while True:
        try:
            Signal(2).send(timeout=0)
        except SignalQueueFull:
            record("full")
            return

@Signal(4).register_handler("mule1")
def leak():
    global leaked
    leaked = b"x" * (400 << 20)
    record("leaked")
"""
MULE = ("--mules", "1")
SPOOLED = ("--spooler", "spool", *MULE)


class Scenario(NamedTuple):
    """A way to be unwell."""

    code: str
    """The code of the problem."""
    subject: str
    """What is unwell: a name, or a path in the directory of the test."""
    make: Callable[..., None]
    """Start this server, and make it unwell."""
    prefix: Callable[..., tuple[str, ...]] = lambda _server: ()
    """Returns the beginning of a command line that looks at the server from where it can be seen."""


def hung_handler(server):
    server.start(HANDLERS, *MULE, "--overdue", "1")
    server.send(1)
    server.expect(1, "blocking")


def hung_task(server):
    code = """
@task
def hang():
    record("hanging")
    block_on("gate")
"""
    server.start(HANDLERS + code, *SPOOLED, "--overdue", "1")
    assert server.command("enqueue", "tasks:hang").returncode == 0
    server.expect(1, "hanging")


def crash_loop(server):
    code = """
@uwsgi.postfork_hooks.add()
def hook():
    if engines.current().identity.role == "mule":
        os._exit(3)
"""
    server.write(HANDLERS + code)
    server.launch(*MULE)
    server.await_log("mule1 exited .exit code 3.", 2)


def slow_queue(server):
    server.start(HANDLERS, *MULE, "--overdue", "100")
    server.send(1)
    server.expect(1, "blocking")
    server.send(2, times=3)


def queue_near_full(server, *more):
    server.start(HANDLERS, *MULE, "--overdue", "100", *more)
    server.send(1)
    server.expect(1, "blocking")
    server.send(3)
    server.expect(1, "full")


def rejected_sends(server):
    queue_near_full(server)


def late_trigger(server):
    """The timer begins when the queue is full."""
    code = "\nregister_timer(0.3, target='mule1', name='tick')(lambda: None)\n"
    server.start(HANDLERS, *MULE, "--overdue", "100")
    server.send(1)
    server.expect(1, "blocking")
    server.send(3)
    server.expect(1, "full")
    server.write(HANDLERS + code)
    assert server.command("reload", "--no-wait").returncode == 0
    server.await_log("Loaded .* 1 timer")


def dead_task(server):
    code = """
@task(target="mule1")
def kill():
    os.kill(os.getpid(), signal.SIGKILL)
"""
    server.start(HANDLERS + code, *SPOOLED)
    assert server.command("enqueue", "tasks:kill").returncode == 0


def unknown_task(server):
    server.start(HANDLERS + "\n@task\ndef nothing(): pass\n", *SPOOLED)
    assert server.command("enqueue", "tasks:gone", "--unchecked", "--spooler", "spool").returncode == 0


def missed_rule(server):
    """It would have run each day at a time that was six hours ago, and the server did not run for three days."""
    at = datetime.now().astimezone() - timedelta(hours=6)
    rule = f"{at.minute} {at.hour} * * *"
    LastRunStore.of_server(server.name).record({"nightly": LastRun(rule, time.time() - 3 * 86400)})
    code = f"\nregister_cron('{rule}', name='nightly', misfire_grace=60)(lambda: None)\n"
    server.start(HANDLERS + code, *MULE)


def full_disk(server):
    """The tasks are on a file system of 16 MiB in a namespace of the server."""
    (server.directory / "disk").mkdir()
    server.write(HANDLERS + "\n@task\ndef nothing(): pass\n")
    run = f"exec {sys.executable} -m heliograph run tasks --name {server.name} --spooler disk/spool --any-fs --mules 1"
    server.process = server.popen(*NAMESPACE, "sh", "-ec", f"mount -t tmpfs -o size=16m none disk; {run}")
    server.await_log("(?i)ready: ")


NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def can_mount():
    """Return True if this user may mount a file system in a namespace."""
    command = [*NAMESPACE, "sh", "-ec", "mount -t tmpfs none /mnt; nsenter --version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def in_namespace(server):
    """Return the beginning of a command that sees the file systems of the server."""
    return ("nsenter", "--target", str(server.master()), "--user", "--mount", "--preserve-credentials")


def leaking_process(server):
    server.start(HANDLERS, *MULE)
    server.send(4)
    server.expect(1, "leaked")


def reload_failed(server):
    server.start(HANDLERS, *MULE)
    server.write("def (:\n")
    assert server.command("reload").returncode == 1


def missing_worker(server):
    """The fork server is gone, and the code on the disk does not load any more."""
    server.start(HANDLERS, *MULE)
    fork_server = server.fork_server()
    server.write("def (:\n")
    subprocess.run(["kill", "-KILL", str(fork_server)], check=True)
    server.await_log("processes that exit are not restarted")
    server.kill("mule1")
    eventually("the end of mule1", lambda: "mule1" not in server.pids())


def unwatched_path(server):
    code = """
if Path("prices").exists() or not Path("was-there").exists():
    Path("prices").mkdir()
    Path("was-there").touch()
register_file_monitor("prices", name="prices")(lambda: None)
Path("prices").rmdir()
"""
    server.start(HANDLERS + code, *MULE)


def mixed_versions(server):
    """The process of the web server ignores that it is to load new code."""
    (server.directory / "web.py").write_text(
        "import signal, heliograph\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "heliograph.join_server()\n"
        "while True: signal.pause()\n"
    )
    server.start(HANDLERS, *MULE, "--workers", "1", "--graceful-timeout", "1", "--", sys.executable, "web.py")
    assert server.command("reload", "--no-wait").returncode == 0
    server.await_log("Loaded ", 2)


def tasks_lost(server):
    server.start(HANDLERS + "\n@task\ndef nothing(): pass\n", *SPOOLED)
    (server.directory / "spool").rename(server.directory / "away")


SCENARIOS = (
    Scenario("hung_handler", "mule1", hung_handler),
    Scenario("hung_handler", "spooler1", hung_task),
    Scenario("crash_loop", "mule1", crash_loop),
    Scenario("slow_queue", "mule1", slow_queue),
    Scenario("queue_near_full", "mule1", queue_near_full),
    Scenario("dead_task", "tasks:kill", dead_task),
    Scenario("missed_rule", "nightly", missed_rule),
    Scenario("full_disk", "disk/spool", full_disk, in_namespace),
    Scenario("leaking_process", "mule1", leaking_process),
    Scenario("rejected_sends", "queues", rejected_sends),
    Scenario("reload_failed", "tasks", reload_failed),
    Scenario("missing_worker", "mule1", missing_worker),
    Scenario("late_trigger", "tick", late_trigger),
    Scenario("unknown_task", "tasks:gone", unknown_task),
    Scenario("unwatched_path", "prices", unwatched_path),
    Scenario("mixed_versions", "worker1", mixed_versions),
    Scenario("tasks_lost", "spool", tasks_lost),
)
