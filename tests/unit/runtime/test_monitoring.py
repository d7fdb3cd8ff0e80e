"""File monitors as an application declares them: which paths are taken, and how they are kept."""

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
    """A path that is neither a string nor a `Path`."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


@pytest.mark.parametrize("kind", [str, Path, Named])
def test_any_path_will_do(kind, tmp_path):
    """Strings and path-like objects, each by what it says in `__fspath__`."""
    register_file_monitor(kind(str(tmp_path)))(handler)
    assert monitored() == FileMonitor(str(tmp_path))


def test_a_path_is_absolute_from_then_on(tmp_path, monkeypatch):
    """It is found from where the application was loaded, wherever its processes go."""
    (tmp_path / "prices.csv").touch()
    monkeypatch.chdir(tmp_path)
    register_file_monitor("prices.csv", recursive=True)(handler)
    monkeypatch.chdir("/")
    assert monitored() == FileMonitor(str(tmp_path / "prices.csv"), recursive=True)


def test_a_missing_path_is_refused_unless_that_is_meant(tmp_path):
    """K9: the error says what to do. A link to nowhere is a missing path."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("missing", "link", "missing/below"):
        with pytest.raises(ScheduleError, match="missing_ok=True"):
            register_file_monitor(tmp_path / name)
    register_file_monitor(tmp_path / "missing", missing_ok=True)(handler)
    assert monitored() == FileMonitor(str(tmp_path / "missing"), missing_ok=True)


def test_a_path_that_cannot_be_looked_at_is_missing(tmp_path):
    """A name that is too long for any file is no reason for an OSError."""
    with pytest.raises(ScheduleError, match="there is nothing at"):
        register_file_monitor(tmp_path / ("x" * 300))


@pytest.mark.parametrize("path", ["", "a\0b", b"/", Named(b"/"), Named(""), None, 5, True])
@pytest.mark.parametrize("missing_ok", [False, True])
def test_what_is_no_path_is_refused(path, missing_ok):
    """Whether or not something must be there."""
    with pytest.raises(ScheduleError, match="a path to watch is"):
        register_file_monitor(path, missing_ok=missing_ok)
    assert get_triggers() == ()


def test_any_name_that_a_file_may_have_will_do(tmp_path):
    r"""A backslash and a zero are no NUL; bytes that are no UTF-8 are kept as Python keeps them."""
    for name in (r"a\0b", os.fsdecode(b"\xff\xfe"), "new\nline"):
        (tmp_path / name).touch()
        register_file_monitor(tmp_path / name)(handler)
    assert [trigger.spec.path for trigger in get_triggers()] == [
        str(tmp_path / name) for name in (r"a\0b", "\udcff\udcfe", "new\nline")
    ]
