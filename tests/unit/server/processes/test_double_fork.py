"""A fork whose process becomes a child of the subreaper."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, threading, time
from heliograph.ipc.prctl import set_child_subreaper
from heliograph.server.processes.double_fork import fork_to_subreaper

def hook(name):
    os.register_at_fork(**{name: lambda: os.write(1, f"{name} {os.getpid() == parent}\\n".encode())})

parent = os.getpid()
for name in ("before", "after_in_parent", "after_in_child"):
    hook(name)
os.register_at_fork(after_in_child=lambda: threading.Thread(target=time.sleep, args=(60,), daemon=True).start())
set_child_subreaper(True)
if sys.argv[1:]:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
pid = fork_to_subreaper()
if not pid:
    os.read(0, 1)
    deadline = time.monotonic() + 10
    while os.getppid() != parent and time.monotonic() < deadline:
        time.sleep(0.001)  # the process between exits
    threads = len(os.listdir("/proc/self/task"))
    os.write(1, f"parent {os.getppid() == parent} threads {threads} {threading.active_count()}\\n".encode())
    os._exit(7)
os.write(1, f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\\n".encode())
"""


def run(*arguments):
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=20, check=True)
    return sorted(done.stdout.splitlines())


def test_the_functions_for_forks_run_once():
    """In the parent and in the new process. A thread that they start in the new process is there."""
    assert run() == ["7", "after_in_child False", "after_in_parent True", "before True", "parent True threads 2 2"]


def test_a_process_with_threads_is_forked_too():
    """The other threads do not exist in the new process."""
    assert "parent True threads 2 2" in run("threads")


@pytest.mark.parametrize("_", range(3))
def test_the_new_process_is_usable(_):
    """It can fork, start threads and import."""
    program = PROGRAM.replace("os.read(0, 1)", "import decimal; os.waitpid(os.fork() or os._exit(0), 0)")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=True,
    )
    assert b"7\n" in done.stdout


@pytest.mark.parametrize(
    "action",
    ["signal.SIG_IGN", "lambda *_: os.waitpid(-1, os.WNOHANG)"],
    ids=["SIGCHLD is ignored", "a handler reaps all children"],
)
def test_the_application_may_handle_sigchld(action):
    """The process between may be reaped by the application, or by the kernel."""
    program = PROGRAM.replace(
        "set_child_subreaper(True)",
        f"set_child_subreaper(True); import signal; signal.signal(signal.SIGCHLD, {action})",
    ).replace("{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}", "forked {pid > 0}")
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert "forked True\n" in done.stdout, done.stderr
