"""The server as the first process of a container, and on a read-only root file system."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

from heliograph.testing.harness.harness import eventually

EXAMPLE = Path(__file__).parents[2] / "examples/containers"
HELIOGRAPH = (sys.executable, "-m", "heliograph")
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
DEADLINE = 60.0

APP = """
import subprocess

@Signal(1).register_handler("mule1", remote=True)
def leave_an_orphan():
    program = "import os, time; os.fork() or (open('orphan', 'w').write(str(os.getpid())), time.sleep(1))"
    subprocess.run([sys.executable, "-c", program], check=True)
    record("left")

@Signal(2).register_handler("mule1", remote=True)
def slow():
    record("begun")
    block_on("release")
    record("finished")
"""

READ_ONLY = """
set -e
mount --make-rprivate /
mkdir -p "$VOLUME"
mount -o remount,bind,ro /
awk '$5 != "/" && $5 !~ "^/(proc|sys|dev)" { print $5 }' /proc/self/mountinfo | while read -r place; do
    mount -o remount,bind,ro "$place" || true
done
exec 3< "$VOLUME"
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -m 0700 /run/shop /run/volume
mount --bind /proc/self/fd/3 /run/volume && mount -o remount,bind,rw /run/volume
exec 3<&-
if [ -n "$TMP_IS_WRITABLE" ]; then mount -t tmpfs tmpfs /tmp; fi
cd "$APPLICATION"
exec "$@"
"""
"""What a container runtime does for `read_only: true`, with a tmpfs at /run and a volume at /run/volume."""


@pytest.fixture(autouse=True)
def _namespaces():
    """Skip where this user may not make namespaces."""
    if (
        shutil.which("unshare") is None
        or subprocess.run([*NAMESPACES, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("not permitted: unshare --mount --pid")


@pytest.fixture
def container(server):
    """Start a command as the first process of namespaces, and return its process id outside of them."""

    def start(*command, **variables):
        words = [f"{name}={value}" for name, value in variables.items()]
        server.process = server.popen(*NAMESPACES, "env", *words, *command)
        return eventually("the first process", lambda: _child(server.process.pid), DEADLINE)

    return start


def _child(pid):
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return None
    return int(text.split()[0]) if text else None


def inside(pid, *command):
    """Run a command in the namespaces of a process."""
    words = ["nsenter", "--target", str(pid), "--mount", "--pid", *command]
    return subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE, check=False)


def arguments(server):
    return ("run", "tasks", "--name", "e2e", "--mules", "1", "--socket", server.remote_socket)


def test_the_first_process_waits_for_orphans_and_stops_on_sigterm(server, container):
    """No init is needed: no zombie is left, and SIGTERM, which has no default effect on process 1, stops the server."""
    server.write(APP)
    first = container(*HELIOGRAPH, *arguments(server), HELIOGRAPH_STOP_PERIOD="40")
    server.await_log("Server ready: ", timeout=DEADLINE)
    assert re.search(r"Starting heliograph \S+ \(pid 1,", server.log)
    server.send(1)
    server.expect(1, "left")
    orphan = eventually("the orphan", lambda: (server.directory / "orphan").read_text() or None, DEADLINE)
    eventually(
        "no orphan and no zombie",
        lambda: orphan not in inside(first, "ps", "-A", "-o", "pid=").stdout.split(),
        DEADLINE,
    )
    assert " Z" not in inside(first, "ps", "-A", "-o", "pid=,stat=").stdout
    server.send(2)
    server.expect(1, "begun")
    os.kill(first, signal.SIGTERM)
    server.await_log("Stopping: ")
    server.release("release")
    assert server.wait() == 0
    server.expect(1, "finished")
    assert "A stop may lose work" not in server.log


def test_a_container_that_is_killed_too_early_is_told_of_at_the_start(server, container):
    server.write(APP)
    first = container(*HELIOGRAPH, *arguments(server))
    server.await_log("Server ready: ", timeout=DEADLINE)
    assert "killed 10 s after SIGTERM, and the graceful timeout is 30 s" in server.log
    os.kill(first, signal.SIGTERM)
    assert server.wait() == 0


@pytest.mark.needs("gunicorn")
def test_the_example_runs_on_a_read_only_root(server, container, monkeypatch):
    """With the configuration of the image, the volume for the tasks and a tmpfs for sockets."""
    monkeypatch.setenv("HELIOGRAPH_SPOOLER", "/run/volume/tasks")  # the test cannot create /var/lib/shop
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [word.replace("0.0.0.0:8000", f"127.0.0.1:{port}") for word in configuration()["command"]]
    first = container(
        *("bash", "-c", READ_ONLY, "bash", *HELIOGRAPH, "run", "shop", "--", *command),
        VOLUME=server.directory / "volume",
        APPLICATION=EXAMPLE,
        TMP_IS_WRITABLE=1,
        XDG_STATE_HOME="/run/volume",
        XDG_RUNTIME_DIR="",
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    )
    server.await_log("Server ready: worker1, worker2, mule1, spooler1", timeout=DEADLINE)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/?bob@example.org", timeout=DEADLINE) as answer:
        assert answer.read()
    server.await_log("mail to bob@example.org", timeout=DEADLINE)
    environ = ("env", f"--chdir={EXAMPLE}", "PYTHONDONTWRITEBYTECODE=1")
    probe = inside(first, *environ, *HELIOGRAPH, "status", "--wait-ready", "0")
    assert probe.returncode == 0, probe.stderr
    assert inside(first, "touch", "/run/shop/x", str(EXAMPLE / "x")).stderr.count("Read-only file system") == 1
    assert "Read-only" not in server.log
    os.kill(first, signal.SIGTERM)
    assert server.wait() == 0
    assert list((server.directory / "volume/tasks").iterdir())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ((), "XDG_RUNTIME_DIR to a directory that you can write to"),
        (
            ("--control", "/run/shop/c.sock", "--spooler", "/usr"),
            "--spooler /usr: its file system is read-only. Mount a volume there",
        ),
    ],
)
def test_errors_on_a_read_only_root_name_the_way_out(server, container, options, error):
    """The temporary directory is read-only, too."""
    server.write(APP)
    container(
        *("bash", "-c", READ_ONLY, "bash", *HELIOGRAPH, "run", "tasks", "--name", "e2e-read-only", *options),
        VOLUME=server.directory / "volume",
        APPLICATION=server.directory,
        XDG_RUNTIME_DIR="",
    )
    assert server.process.wait(DEADLINE) == 2
    assert error in server.log


def configuration():
    return tomllib.loads((EXAMPLE / "heliograph.toml").read_text())


def test_the_image_has_the_files_that_it_needs():
    """No daemon builds it in the tests. Each COPY of the context exists and is not ignored."""
    text = (EXAMPLE / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for word in line.split()[:-1]]
    allowed = [line[1:] for line in (EXAMPLE / ".dockerignore").read_text().split() if line.startswith("!")]
    assert sorted(copied) == sorted(allowed)
    assert all((EXAMPLE / name).is_file() for name in copied)
    assert "\nUSER shop\n" in text
    assert text.rstrip().endswith('CMD ["heliograph", "run"]')


def test_the_files_agree_about_the_time_for_a_stop():
    compose, kubernetes = (EXAMPLE / "compose.yaml").read_text(), (EXAMPLE / "kubernetes.yaml").read_text()
    period = float(re.search(r"HELIOGRAPH_STOP_PERIOD: \"(\d+)\"", compose)[1])
    assert period > configuration()["graceful-timeout"] + 2
    assert f"stop_grace_period: {period:g}s" in compose
    assert f"terminationGracePeriodSeconds: {period:g}\n" in kubernetes
    assert f'HELIOGRAPH_STOP_PERIOD, value: "{period:g}"' in kubernetes
