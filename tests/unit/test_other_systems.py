"""A system that is not Linux. A subprocess simulates it: its modules lack what only Linux has."""

import subprocess
import sys

import pytest

OTHER_SYSTEM = """
import asyncio, ctypes, ctypes.util, logging, multiprocessing, os, select, socket, subprocess, sys, zoneinfo
sys.platform = "darwin"
for module, names in {
    os: ("memfd_create", "pidfd_open", "pipe2", "eventfd"),
    select: ("epoll",),
    socket: ("SO_PEERCRED", "MSG_CMSG_CLOEXEC"),
}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)

class Library:
    def __init__(self, *_arguments, **_options):
        pass

ctypes.CDLL = Library
"""


def run(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", OTHER_SYSTEM + program],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
    )


def test_the_inline_engine_works():
    """Handlers run in the process that sends, and triggers register."""
    program = """
from heliograph import Signal, register_timer
Signal(1).register_handler("worker")(lambda: print("ran"))
register_timer(60)(print)
Signal(1).send()
"""
    done = run(program, HELIOGRAPH_ENGINE="inline")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


@pytest.mark.parametrize(
    "start",
    [
        "from heliograph.cli import main; main(['run', 'json'])",
        "from heliograph.cli import main; main(['run', 'json', '--engine', 'uwsgi'])",
    ],
)
def test_a_server_is_refused_in_one_line(start):
    """It names the system, and the engine that works there."""
    done = run(start)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        (
            "Error: a server needs Linux, and this system is darwin. Set HELIOGRAPH_ENGINE=inline to run handlers in "
            "the process that sends, as in tests."
        )
    ]


def test_a_program_that_serves_gets_an_error():
    """As the command does."""
    done = run("import heliograph; heliograph.serve('json')")
    assert "ConfigError: a server needs Linux, and this system is darwin." in done.stderr.splitlines()[-1]
