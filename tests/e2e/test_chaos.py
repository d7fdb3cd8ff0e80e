"""The storm, a short one: what `make chaos` does ten times as long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("engine", ["local", "gunicorn"])
def test_nothing_is_lost_in_a_storm(engine):
    """D3, D4: 20,000 signals, 20 kills and 2 reloads: each handled, run again at most once a kill, nothing left."""
    command = [sys.executable, "-m", "chaos", "--engine", engine, "--signals", "20000", "--kills", "20"]
    command += ["--reloads", "2", "--seconds", "60"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   all of it happened" in done.stdout
    assert "ok   nothing lost: 0" in done.stdout
