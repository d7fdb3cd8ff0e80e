"""A short run of `make chaos`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("engine", ["local", pytest.param("gunicorn", marks=pytest.mark.needs("gunicorn"))])
def test_no_signal_is_lost_while_processes_are_killed(engine):
    """D3, D4: 20,000 signals, 20 kills, 2 reloads, 10 faults of the surroundings: none is lost, no process is left.

    At the end SIGTERM stops the server with signals in its queues: to all processes at once, or to the master.
    """
    command = [sys.executable, "-m", "chaos", "--engine", engine, "--signals", "20000", "--kills", "20"]
    command += ["--reloads", "2", "--surroundings", "10", "--seconds", "60"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok      plan complete" in done.stdout
    assert "ok      signals lost: 0" in done.stdout
    for kind in ("descriptors", "processes", "stopped master", "full disk", "closed descriptors"):
        assert f"'{kind}': 2" in done.stdout


@pytest.mark.parametrize(
    "engine",
    [
        "local",
        pytest.param("gunicorn", marks=pytest.mark.needs("gunicorn")),
        pytest.param("uwsgi", marks=pytest.mark.needs("uwsgi")),
    ],
)
def test_no_task_is_lost_and_none_runs_again_without_a_kill(engine):
    """J1, J2, J3, J18: 1,000 tasks, 10 kills, 2 restarts, a reload, a full disk, a process stopped for 2 seconds.

    Each process that enqueues finds its locks in `/proc/locks`.
    """
    command = [sys.executable, "-m", "chaos", "--tasks", "1000", "--kills", "10", "--masters", "2", "--reloads", "1"]
    command += ["--full-disks", "1", "--stop-seconds", "2", "--seconds", "60", "--engine", engine]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "plan complete",
        "tasks lost: 0",
        "second runs that no kill explains: 0",
        "tasks of a stopped process that ran again: 0",
    ):
        assert f"ok      {line}" in done.stdout
    assert "ok      locks that a process lacked: 0" in done.stdout or "skipped: the locks" in done.stdout
    assert "1 x full disk" in done.stdout or "skipped: the full disk" in done.stdout
