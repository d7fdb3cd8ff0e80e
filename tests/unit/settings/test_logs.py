"""The log of the master and of its processes."""

import subprocess
import sys

import pytest

PROGRAM = """
import logging, os, sys
from heliograph.settings.logs import configure_logging
{before}
configure_logging({level!r})
for name in ("heliograph.master", "shop"):
    for level in ("debug", "info", "error"):
        getattr(logging.getLogger(name), level)("%s says %s", name, level)
print(os.getpid())
"""


def logged(level, before=""):
    """Return the log of a program, and its process id."""
    program = PROGRAM.format(level=level, before=before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return done.stderr, int(done.stdout)


@pytest.mark.parametrize(
    ("level", "ours"),
    [("debug", ["debug", "info", "error"]), ("info", ["info", "error"]), ("error", ["error"]), ("critical", [])],
)
def test_the_level_applies_to_heliograph_only(level, ours):
    """The application's loggers log from INFO on, as they do without the option."""
    log, _ = logged(level)
    assert [line.split()[-1] for line in log.splitlines() if "heliograph.master says" in line] == ours
    assert [line.split()[-1] for line in log.splitlines() if "shop says" in line] == ["info", "error"]


def test_a_line_has_time_level_logger_process_and_message():
    """On standard error."""
    log, pid = logged("info")
    assert f" INFO heliograph.master[{pid}]: heliograph.master says info" in log.splitlines()[0]


def test_the_application_s_own_configuration_stays():
    """A root logger that has a handler keeps its level and its format."""
    log, _ = logged("info", "logging.basicConfig(format='mine %(message)s', level=logging.ERROR)")
    assert log.splitlines() == [
        "mine heliograph.master says info",
        "mine heliograph.master says error",
        "mine shop says error",
    ]
