"""Starts real servers with the application under test."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from heliograph.testing.harness.harness import ALL_PROCESSES
from heliograph.testing.harness.server import SERVER_NAME, ServerHarness
from heliograph.testing.harness.signals import To

_APP = "heliograph.testing.harness.app"
_LOCAL_SERVER = """
import logging
from heliograph import serve

logging.basicConfig(level=logging.INFO)
raise SystemExit(serve({app!r}, name={name!r}, **{options!r}))
"""


_MERCY = 5
"""Seconds after which the master of uWSGI kills a process that does not exit. uWSGI's default is 60."""


@contextmanager
def uwsgi_harness(directory: Path, mode: str, *flags: str) -> Generator[ServerHarness]:
    """Run a uWSGI server. `mode` is `plain`, `lazy` or `threads`. The server gets the extra `flags`."""
    harness = ServerHarness(f"uwsgi {mode}", directory)
    spool = directory / "spool"
    spool.mkdir()
    command = [str(Path(sys.executable).with_name("uwsgi")), "--master", "--need-app", "--die-on-term"]
    command += ["--module", _APP, "--socket", str(harness.remote), "--processes", "2"]
    # uWSGI's processes call exit() in a signal handler (`core/uwsgi.c: end_me`), which blocks for ever if the signal
    # came while the C library or the interpreter held a lock.
    command += ["--worker-reload-mercy", str(_MERCY), "--mule-reload-mercy", str(_MERCY)]
    command += ["--mules", "2", "--farm", "crunchers:1,2", "--spooler", str(spool), "--enable-threads", *flags]
    try:
        harness.start(command, ALL_PROCESSES[:2] if mode == "lazy" else ALL_PROCESSES)
        yield harness
    finally:
        harness.stop()


@contextmanager
def local_harness(directory: Path, mode: str, **options: Any) -> Generator[ServerHarness]:
    """Run a heliograph server. `mode` is `plain`, `lazy` or `webserver`. `heliograph.serve()` gets the `options`."""
    harness = ServerHarness(f"local {mode}", directory)
    options = {"workers": 2, "mules": 2, "farms": {"crunchers": [1, 2]}, "spooler": str(directory), **options}
    options |= {"listen": harness.remote, "allow_remote": [int(To.MULE_1)]}
    program = _LOCAL_SERVER.format(app=_APP, name=SERVER_NAME, options=options)
    try:
        harness.start([sys.executable, "-c", program], ALL_PROCESSES, XDG_RUNTIME_DIR=str(directory))
        yield harness
    finally:
        harness.stop()
