"""`heliograph send` to a real uWSGI and to other servers, and the demo."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

DEADLINE = 60.0
"""Seconds after which a test gives up."""

HELIOGRAPH = (sys.executable, "-m", "heliograph")
ROOT = Path(__file__).parents[2]

APP = """
import os
from heliograph import Signal, uwsgi

def tell(what):
    fd = os.open("events", os.O_WRONLY)
    os.write(fd, what)
    os.close(fd)

@Signal(7).register_handler()
def handle():
    tell(b"7")

@Signal(8).register_handler()
def up():
    tell(b"u")

# A handler reports, not the hook, because a worker that handles signals can also be stopped.
@uwsgi.postfork_hooks.add()
def forked():
    Signal(8).send()
"""


def send(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HELIOGRAPH, "send", *arguments], cwd=cwd, capture_output=True, text=True, timeout=DEADLINE, check=False
    )


@pytest.fixture
def events(tmp_path):
    """A named pipe that the application writes to."""
    os.mkfifo(tmp_path / "events")
    # Open it for reading and writing, so that open() does not block.
    with (tmp_path / "events").open("r+b", buffering=0) as pipe:
        yield pipe


@pytest.fixture(params=["x.sock", "tcp"])
def server(request, tmp_path, events):
    """The address of a real uWSGI whose worker is ready."""
    address = request.param
    if address == "tcp":
        with socket.create_server(("127.0.0.1", 0)) as sock:
            address = f"127.0.0.1:{sock.getsockname()[1]}"
    (tmp_path / "app.py").write_text(APP)
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*HELIOGRAPH, "run", "app.py", "--engine", "uwsgi", "--socket", address],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        assert _read(events) == b"u"
        yield address
        process.terminate()
        assert process.wait(DEADLINE) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE)


@pytest.mark.needs("uwsgi")
def test_an_external_signal_is_handled(server, events, tmp_path):
    """D8: The exit code is 0, and the handler runs in the server."""
    done = send("7", server, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"{server} accepted signal 7\n")
    assert _read(events) == b"7"


def test_a_rejection_is_exit_code_one(tmp_path):
    """D8: The answer `ff 00 00 00` rejects the signal."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)

        def reject() -> None:
            with listener.accept()[0] as connection:
                connection.settimeout(DEADLINE)
                connection.recv(4, socket.MSG_WAITALL)
                connection.sendall(b"\xff\x00\x00\x00")

        thread = threading.Thread(target=reject)
        thread.start()
        done = send("7", f"127.0.0.1:{listener.getsockname()[1]}", cwd=tmp_path)
        thread.join(DEADLINE)
    assert done.returncode == 1
    assert "rejected signal 7" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_server_is_exit_code_two(tmp_path):
    """D8: Without a connection the command prints one line."""
    done = send("7", "nobody.sock", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "Error: cannot deliver signal 7 to nobody.sock: No such file or directory. Check the address, and that the "
        "server runs with --socket nobody.sock.\n"
    )


def test_a_silent_server_is_exit_code_two_after_the_timeout(tmp_path):
    """D8: The server accepts the connection and does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        done = send("7", address, "--timeout", "0.1", cwd=tmp_path)
    assert done.returncode == 2
    assert "no answer within 0.1 s" in done.stderr


@pytest.mark.parametrize("engine", ["local", pytest.param("uwsgi", marks=pytest.mark.needs("uwsgi"))])
def test_the_demo_reaches_every_target_and_loses_no_task(engine):
    """T1-T7: `python -m examples.demo` sends a signal to each target, and the expected process handles it.

    Its four tasks succeed: at once, at the third attempt, two seconds later, and after a kill of the whole server.
    """
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo", "--engine", engine],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"18 of 18 signals were handled by the expected process (engine: {engine})" in done.stdout
    assert "4 of 4 tasks ran as expected" in done.stdout
    table = done.stdout.partition("task ")[2]
    assert [line.split()[0] for line in table.splitlines() if line.endswith("  ok")] == [
        "confirm",
        "charge",
        "remind",
        "pack",
    ]


def _read(pipe) -> bytes:
    """Return the next byte within the deadline."""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        assert selector.select(DEADLINE), "no report in time"
    return pipe.read(1)
