"""The package as it was in an earlier commit."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from lib.report import Skipped

_ROOT = Path(__file__).resolve().parents[2]

BASELINE = os.environ.get("BENCH_BASELINE", "95d22b8")
"""The last commit before tasks, unless the environment names another one."""


@contextmanager
def baseline() -> Generator[Path]:
    """Unpack `src` of the commit into a temporary directory. Raises `Skipped` if the clone does not have the commit."""
    command = ["git", "-C", str(_ROOT), "archive", BASELINE, "src"]
    try:
        found = subprocess.run(command, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skipped(f"commit not found: {BASELINE}. Fetch the whole history (git fetch --unshallow).") from error
    with TemporaryDirectory(prefix="bench-") as folder, tarfile.open(fileobj=BytesIO(found)) as archive:
        archive.extractall(folder, filter="data")
        yield Path(folder) / "src"
