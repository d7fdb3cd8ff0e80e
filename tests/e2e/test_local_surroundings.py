"""A heliograph server among process groups, resource limits, closed descriptors and setuid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest

from heliograph.testing.harness.harness import eventually

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


EXIT_FUNCTIONS = """
import atexit, tempfile
TMP = tempfile.TemporaryDirectory()
atexit.register(record, "exit")

@Signal(1).register_handler("mule1")
def work():
    record("begun")
    block_on("gate")
    Path(TMP.name, "x").touch()
    record("found")

@uwsgi.postfork_hooks.add()
def hook():
    atexit.register(record, "own")
"""


def test_the_fork_server_exits_after_the_last_process_that_it_forked(server):
    """What was made at import is there until then. Functions of `atexit` run once in each process."""
    server.start(EXIT_FUNCTIONS, "--mules", "1")
    first, mule = server.fork_server(), server.pids()["mule1"]
    server.send(1)
    server.expect(1, "begun")
    os.kill(server.master(), signal.SIGHUP)
    server.await_log("Replaced worker1")
    server.release("gate")
    assert server.expect(1, "found")[0].pid == mule
    server.await_log("Reload complete")
    assert server.expect(3, "exit")[-1].pid == first
    assert server.end() == 0
    assert len({event.pid for event in server.events("exit")}) == len(server.events("exit")) == 6
    assert len({event.pid for event in server.events("own")}) == len(server.events("own")) == 4


def test_a_fork_server_does_not_wait_for_a_thread_that_never_ends(server):
    """The log names the thread, and its exit functions run."""
    server.start(
        """
import atexit, threading
atexit.register(record, "exit")
threading.Thread(target=time.sleep, args=(600,), name="beat").start()
"""
    )
    assert server.end() == 0
    assert server.expect(1, "exit")
    assert "exits without waiting for these threads: beat" in server.log


NO_PARENT_DEATH_SIGNAL = """
import ctypes

def clear():
    ctypes.CDLL(None).prctl(1, 0)

@uwsgi.postfork_hooks.add()
def hook():
    {hook}

@Signal(1).register_handler("mules")
def work():
    clear()
    record("cleared")
"""


def test_processes_end_with_the_master_after_a_hook_has_changed_the_user(server):
    """The kernel clears the parent death signal at `os.setuid`. It is set again after the hooks."""
    server.start(NO_PARENT_DEATH_SIGNAL.format(hook="clear()"), "--mules", "1")
    server.process.kill()
    server.wait()


def test_processes_end_with_the_master_after_a_handler_has_changed_the_user(server):
    """They notice the end of a pipe that only the master writes."""
    server.start(NO_PARENT_DEATH_SIGNAL.format(hook="pass"), "--mules", "1")
    server.send(1)
    server.expect(1, "cleared")
    server.process.kill()
    server.wait()


def test_a_reload_runs_the_release_that_the_link_names(server, tmp_path, monkeypatch):
    """A deployment switches the link of the working directory, and removes the old release."""
    for number in (1, 2):
        release = tmp_path / f"release{number}"
        release.mkdir()
        (release / "tasks.py").write_text(f"from pathlib import Path\nPath('{tmp_path}/loaded{number}').touch()\n")
    current = tmp_path / "current"
    current.symlink_to("release1")
    monkeypatch.setenv("PWD", str(current))
    server.directory = current
    server.launch()
    server.await_log("Server ready: ")
    current.unlink()
    current.symlink_to("release2")
    (tmp_path / "release1" / "log").rename(tmp_path / "release2" / "log")
    shutil.rmtree(tmp_path / "release1")
    os.kill(server.master(), signal.SIGHUP)
    server.await_log("Reload complete")
    assert (tmp_path / "loaded2").exists()
    assert server.end() == 0


def test_a_fork_server_has_the_options_of_its_interpreter(server):
    """Also those that only `-X` knows. A module of the application does not hide one of the standard library."""
    (server.directory / "signal.py").write_text("raise SystemExit('hidden')")
    server.write("")
    (server.directory / "tasks.py").write_text(
        "import sys\nfrom pathlib import Path\n"
        "Path('flags').write_text(f'{sys.flags.optimize} {sys._xoptions} {sys.warnoptions}')"
    )
    flags = ("-P", "-O", "-X", "int_max_str_digits=0", "-W", "error::UserWarning")
    server.process = server.popen(sys.executable, *flags, "-m", "heliograph", "run", "tasks", "--name", server.name)
    server.await_log("Server ready: ")
    assert (server.directory / "flags").read_text() == "1 {'int_max_str_digits': '0'} ['error::UserWarning']"
    assert server.end() == 0


PRINTS = """
@Signal(1).register_handler("mule1")
def prints():
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.write("x" * 100_000)
            stream.flush()
    for fd in (1, 2):
        os.write(fd, b"x" * 100_000)
    record("printed")
"""


def test_output_cannot_hit_the_shared_memory_if_standard_descriptors_are_closed(server):
    """The server starts without 0, 1 and 2. What a handler prints goes nowhere, and the routes stay as they are."""
    server.write(PRINTS)
    command = f"{sys.executable} -m heliograph run tasks --name {server.name} --mules 1 --socket {server.remote_socket}"
    server.process = server.popen("sh", "-c", f"exec {command} --allow-remote 1 0<&- 1>&- 2>&-")
    eventually("the server", lambda: server.command("signals").returncode == 0 and server.state()["complete"])
    before = server.row(1)
    server.send(1, 2)
    server.expect(2, "printed")
    server.await_row(1, done=2, failed=0)
    assert {key: server.row(1)[key] for key in ("num", "target", "handler")} == {
        key: before[key] for key in ("num", "target", "handler")
    }


@pytest.mark.parametrize("mode", [[], ["--lazy-apps"]], ids=["plain", "lazy"])
def test_a_line_that_a_handler_prints_is_in_the_log_at_once(server, monkeypatch, mode):
    """Standard output is a file or a pipe, and the process goes on."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    server.start(
        "@Signal(1).register_handler('mule1')\ndef work():\n    print('printed here')\n", "--mules", "1", *mode
    )
    server.send(1)
    server.await_log("printed here")


@pytest.mark.parametrize(
    "flags",
    [("-X", "dev"), ("-W", "error"), ("-X", "warn_default_encoding", "-W", "error::EncodingWarning")],
    ids=" ".join,
)
def test_development_mode_shows_no_warning_of_heliograph(server, flags):
    """No file or socket is left open in the master, the fork server or a process, over a reload and a stop."""
    server.write(SLOW)
    command = [sys.executable, *flags, "-m", "heliograph", "run", "tasks", "--name", server.name, "--mules", "1"]
    server.process = server.popen(*command, "--spooler", "spool")
    server.await_log("(?i)ready: ")
    for verb in ("signals", "reload", "stop"):
        done = subprocess.run(
            [sys.executable, *flags, "-m", "heliograph", verb, "--name", server.name],
            cwd=server.directory,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Warning" not in done.stderr
    assert server.process.wait(20) == 0
    assert "Warning" not in server.log


BLOCKED = """
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))

@Signal(1).register_handler("mule1", time_limit=0.2)
def work():
    record("begun")
    while True:
        time.sleep(1)

@uwsgi.postfork_hooks.add()
def hook():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
"""


@pytest.mark.parametrize("mode", [[], ["--lazy-apps"]], ids=["plain", "lazy"])
def test_signals_that_the_application_blocks_cost_nothing(server, mode):
    """SIGTERM drains each process at a reload and at a stop, and a time limit ends a handler."""
    server.start(BLOCKED, "--mules", "1", *mode)
    os.kill(server.master(), signal.SIGHUP)
    server.await_log("Reload complete")
    server.send(1)
    server.await_log("its handler exceeded the time limit")
    assert server.end() == 0
    assert "did not exit" not in server.log


@pytest.mark.parametrize("mode", [[], ["--lazy-apps"]], ids=["plain", "lazy"])
@pytest.mark.parametrize(
    "line",
    ["signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "import ctypes; ctypes.CDLL(None).prctl(36, 1)"],
    ids=["ignores SIGCHLD", "is a subreaper"],
)
def test_the_application_may_deal_with_children_in_its_own_way(server, line, mode):
    """The master is the parent of all processes nonetheless, replaces one that is killed, and stops."""
    server.start(line, "--mules", "1", *mode)
    mule = server.kill("mule1")
    server.await_successor("mule1", mule)
    assert server.end() == 0
    assert "ERROR" not in server.log


CHANGES_SIGTERM = """
import asyncio

async def loop_handler():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)

@Signal(1).register_handler("mule1")
def change():
    {change}
    record("changed")

@Signal(2).register_handler("mule1")
def work():
    record("begun")
    block_on("gate")
    record("done")
"""


@pytest.mark.parametrize(
    "change",
    [
        "asyncio.run(loop_handler())",
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})",
        "signal.set_wakeup_fd(-1)",
    ],
)
def test_a_process_drains_after_a_handler_has_changed_what_sigterm_does(server, change):
    """In a later handler, which finishes and is not run again, and while the process waits for signals."""
    server.start(CHANGES_SIGTERM.format(change=change), "--mules", "1")
    server.send(1)
    server.expect(1, "changed")
    server.send(2)
    mule = server.expect(1, "begun")[0].pid
    os.kill(server.master(), signal.SIGHUP)
    server.await_log("Replaced worker1")
    server.release("gate")
    assert server.expect(1, "done")[0].pid == mule
    server.await_log("Reload complete")
    server.send(1)
    server.expect(2, "changed")
    server.send(2)
    server.await_row(2, done=2)
    assert server.end() == 0
    assert len(server.events("begun")) == 2
    assert "did not exit" not in server.log


def test_a_master_whose_parent_blocks_signals_works(server):
    """SIGCHLD and SIGTERM arrive."""
    server.write(SLOW)
    block = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-m", "heliograph", "run", "tasks", "--name", server.name, "--mules", "1"]
    server.process = server.popen(sys.executable, "-c", f"import os, signal, sys; {block}", *command)
    server.await_log("(?i)ready: ")
    mule = server.pids()["mule1"]
    os.kill(mule, signal.SIGKILL)
    server.await_successor("mule1", mule)
    assert server.end() == 0


PROGRAM = """
import subprocess, sys, threading, time
import heliograph

def child(code, seconds):
    return subprocess.Popen([sys.executable, "-c", f"import sys, time; time.sleep({seconds}); sys.exit({code})"])

before, codes = child(7, 0.1), []
threading.Thread(target=lambda: codes.append(child(8, 0.5).wait())).start()
heliograph.serve("tasks", name="e2e", mules=1, listen=sys.argv[1])
print("codes", before.wait(), *codes, flush=True)
"""


def test_a_program_that_serves_keeps_the_exit_codes_of_its_children(server):
    """It started one before the server, and one in a thread. The server still replaces its own processes."""
    server.write("@Signal(1).register_handler('mule1', remote=True)\ndef work():\n    record('done')\n")
    server.process = server.popen(sys.executable, "-c", PROGRAM, server.remote_socket)
    eventually("the server", lambda: server.command("signals").returncode == 0 and server.state()["complete"])
    for _ in range(2):
        mule = server.pids()["mule1"]
        os.kill(mule, signal.SIGKILL)
        server.await_successor("mule1", mule)
    server.send(1)
    server.expect(1, "done")
    assert server.command("reload").returncode == 0
    assert server.end() == 0
    assert "codes 7 8\n" in server.log
