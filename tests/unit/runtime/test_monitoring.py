"""File monitors in an application: accepted paths, and how they are stored."""

import os
from pathlib import Path

import pytest

from heliograph.exceptions import ScheduleError
from heliograph.models import FileMonitor
from heliograph.runtime.monitoring import register_file_monitor
from heliograph.runtime.triggers import get_triggers

pytestmark = pytest.mark.usefixtures("heliograph_engine")


def handler() -> None:
    """Any handler."""


def monitored() -> FileMonitor:
    (trigger,) = get_triggers()
    assert isinstance(trigger.spec, FileMonitor)
    return trigger.spec


class Named:
    """A path-like object that is neither a string nor a `Path`."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


@pytest.mark.parametrize("kind", [str, Path, Named])
def test_path_like_objects_are_accepted(kind, tmp_path):
    """Strings, and objects with `__fspath__`."""
    register_file_monitor(kind(str(tmp_path)))(handler)
    assert monitored() == FileMonitor(str(tmp_path))


def test_relative_path_becomes_absolute(tmp_path, monkeypatch):
    """Processes may change their directory later."""
    (tmp_path / "prices.csv").touch()
    monkeypatch.chdir(tmp_path)
    register_file_monitor("prices.csv", recursive=True)(handler)
    monkeypatch.chdir("/")
    assert monitored() == FileMonitor(str(tmp_path / "prices.csv"), recursive=True)


def test_missing_path_is_rejected(tmp_path):
    """The message names `missing_ok`. A dangling link is a missing path."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("missing", "link", "missing/below"):
        with pytest.raises(ScheduleError, match="missing_ok=True"):
            register_file_monitor(tmp_path / name)
    register_file_monitor(tmp_path / "missing", missing_ok=True)(handler)
    assert monitored() == FileMonitor(str(tmp_path / "missing"), missing_ok=True)


def test_path_that_is_too_long_is_missing(tmp_path):
    """It raises no OSError."""
    with pytest.raises(ScheduleError, match="path to watch is missing"):
        register_file_monitor(tmp_path / ("x" * 300))


@pytest.mark.parametrize("settle", [0, 2, 0.5])
def test_the_time_to_settle_is_stored(tmp_path, settle):
    """As a float. The default is 50 ms."""
    register_file_monitor(tmp_path, settle=settle)(handler)
    assert monitored() == FileMonitor(str(tmp_path), settle=settle)
    assert isinstance(monitored().settle, float)
    assert FileMonitor("/").settle == 0.05


@pytest.mark.parametrize("settle", [-1, float("inf"), float("nan"), "1", None, True])
def test_an_invalid_time_to_settle_is_rejected(tmp_path, settle):
    """The message names the option."""
    with pytest.raises(ScheduleError, match="invalid settle"):
        register_file_monitor(tmp_path, settle=settle)
    assert get_triggers() == ()


@pytest.mark.parametrize("path", ["", "a\0b", b"/", Named(b"/"), Named(""), None, 5, True])
@pytest.mark.parametrize("missing_ok", [False, True])
def test_invalid_path_is_rejected(path, missing_ok):
    """With and without `missing_ok`."""
    with pytest.raises(ScheduleError, match="invalid path to watch"):
        register_file_monitor(path, missing_ok=missing_ok)
    assert get_triggers() == ()


def test_any_file_name_is_accepted(tmp_path):
    """A backslash and a zero are no NUL. Bytes that are not UTF-8 stay as Python represents them."""
    for name in (r"a\0b", os.fsdecode(b"\xff\xfe"), "new\nline"):
        (tmp_path / name).touch()
        register_file_monitor(tmp_path / name)(handler)
    assert [trigger.spec.path for trigger in get_triggers()] == [
        str(tmp_path / name) for name in (r"a\0b", "\udcff\udcfe", "new\nline")
    ]
