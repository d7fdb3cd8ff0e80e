"""The log of the master and of its processes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.settings import logs
from heliograph.settings.path_types import LogConfigFile

PROGRAM = """
import logging, os, sys
from heliograph.settings.logs import configure_logging
{before}
configure_logging({level!r})
{after}
for name in ("heliograph.master", "shop"):
    for level in ("debug", "info", "error"):
        getattr(logging.getLogger(name), level)("%s says %s", name, level)
print(os.getpid())
"""


def logged(level, before="", after=""):
    """Return the log of a program, and its process id."""
    program = PROGRAM.format(level=level, before=before, after=after)
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


@pytest.mark.parametrize("level", ["", ", level=logging.ERROR"])
def test_basic_config_of_the_application_works(level):
    """After heliograph's own configuration, it decides about the lines of the application."""
    log, pid = logged("info", after=f"logging.basicConfig(format='mine %(message)s'{level})")
    assert [line for line in log.splitlines() if line.startswith("mine")] == [
        *(["mine shop says info"] if not level else []),
        "mine shop says error",
    ]
    assert f"INFO heliograph.master[{pid}]: heliograph.master says info" in log


@pytest.mark.parametrize(
    "after",
    [
        "import logging.config; logging.config.dictConfig({'version': 1})",
        "import logging.config; logging.config.dictConfig({'version': 1, 'disable_existing_loggers': True})",
        "import logging.handlers as h, queue; logging.getLogger().handlers[:] = [h.QueueHandler(queue.Queue())]",
        "logging.getLogger('heliograph.master').disabled = True",
    ],
)
def test_lines_of_heliograph_survive_the_configuration_of_the_application(after):
    """A configuration that disables existing loggers, or a queue that nobody reads, does not silence them."""
    log, _ = logged("info", after=after)
    assert "heliograph.master says error" in log


def test_all_loggers_are_protected():
    """The list is complete."""
    source = Path(logs.__file__).parents[1]
    names = {
        name
        for path in source.rglob("*.py")
        for name in re.findall(r'(?:getLogger|tolerant_logger)\("heliograph([^"{]*)"\)', path.read_text())
    }
    assert names == set(logs.LOGGERS)


JSON = '{"handlers": {"out": {"class": "logging.StreamHandler", "formatter": "f"}}, "formatters": {"f": {"format": "X %(message)s"}}, "root": {"handlers": ["out"], "level": "ERROR"}}'  # noqa: E501
TOML = """
root = {handlers = ["out"], level = "ERROR"}
[formatters.f]
format = "X %(message)s"
[handlers.out]
class = "logging.StreamHandler"
formatter = "f"
"""


@pytest.mark.parametrize(("name", "text"), [("log.json", JSON), ("log.toml", TOML), ("log", TOML)])
def test_file_configures_logging(tmp_path, name, text):
    """The file decides about all lines, those of heliograph included."""
    (tmp_path / name).write_text(text)
    program = PROGRAM.replace("{level!r}", f"'info', __import__('pathlib').Path({str(tmp_path / name)!r})")
    done = subprocess.run(
        [sys.executable, "-c", program.format(before="", after="")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr.splitlines() == [
        "X heliograph.master says info",
        "X heliograph.master says error",
        "X shop says error",
    ]


@pytest.mark.parametrize("text", [None, "[", "\xff"])
def test_unreadable_file_is_rejected(tmp_path, text):
    """The message says what to use."""
    if text is not None:
        (tmp_path / "log").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"cannot be read .*TOML or JSON"):
        LogConfigFile().from_text(str(tmp_path / "log"))


def test_invalid_configuration_is_rejected(tmp_path):
    """What `dictConfig` refuses is an error with its reason."""
    (tmp_path / "log.json").write_text('{"root": {"handlers": ["missing"]}}')
    with pytest.raises(ValueError, match="root"):
        logs.apply_log_config(tmp_path / "log.json")
