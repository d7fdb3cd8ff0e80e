"""A heliograph server among process groups, resource limits, closed descriptors and setuid."""

from __future__ import annotations

import os
import signal

SLOW = """
@Signal(1).register_handler("mule1")
def work():
    time.sleep(0.01)
    record("done")

@Signal(2).register_handler("worker")
def fill():
    for _ in range(300):
        Signal(1).send()
    record("filled")
"""


def test_sigterm_to_the_whole_process_group_loses_nothing(server):
    """All processes of a server get SIGTERM, as systemd sends it by default: queued signals are handled first."""
    server.start(SLOW, "--mules", "1")
    server.send(2)
    server.expect(1, "filled")
    os.killpg(server.process.pid, signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert len(server.events("done")) == 300


def test_a_process_that_gets_sigterm_before_it_receives_drains(server):
    """SIGTERM during a post-fork hook is not lost: the process drains after the hook and is replaced."""
    server.start(
        """
@uwsgi.postfork_hooks.add()
def hook():
    record("hook")
    if str(engines.current().identity) == "mule1" and len(Path("events").read_text().split("hook mule1")) == 2:
        os.kill(os.getpid(), signal.SIGTERM)
        record("survived")
""",
        "--mules",
        "1",
    )
    hooks = [event for event in server.events("hook") if event.by == "mule1"]
    assert [event.by for event in server.expect(1, "survived")] == ["mule1"]
    assert server.await_successor("mule1", hooks[0].pid)


def test_the_application_can_end_what_it_forks_at_import(server):
    """SIGTERM has its default action in a process that the application forks while it is loaded."""
    server.start(
        """
import multiprocessing
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
child.start()
child.terminate()
child.join(10)
record(f"exit{child.exitcode}")
"""
    )
    assert server.expect(1, "exit-15")
