"""The directory of the tasks of a server, as the server and other programs find it."""

from pathlib import Path

import pytest

from heliograph.ipc.instance import server_name
from heliograph.ipc.state_directory import (
    ANY_FILESYSTEM_ENV,
    allows_any_filesystem,
    find_store,
    note_store,
    servers_of_store,
    state_directory,
    store_directory,
)


@pytest.fixture(autouse=True)
def home(directory, monkeypatch):
    """A state directory and a working directory of the test."""
    for name in ("HELIOGRAPH_SPOOLER", "HELIOGRAPH_NAME", "HELIOGRAPH_TASKS", "PWD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(directory / "state"))
    (directory / "shop").mkdir()
    monkeypatch.chdir(directory / "shop")
    return directory


def test_without_a_spooler_the_name_decides(home):
    """In the state directory."""
    assert store_directory("shop") == home / "state" / "heliograph" / "shop.tasks"
    assert find_store("shop") == store_directory("shop")


def test_the_default_state_directory(monkeypatch):
    """That of the XDG rules."""
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/anna")
    assert state_directory() == Path("/home/anna/.local/state/heliograph")


def test_a_spooler_directory_is_absolute(home):
    """Relative to the working directory of the server."""
    assert store_directory("shop", Path("spool")) == home / "shop" / "spool"


def test_other_programs_find_the_spooler_directory(home, monkeypatch):
    """By the name of the server, from anywhere, also while the server does not run."""
    note_store("shop", Path("spool"))
    monkeypatch.chdir(home)
    assert find_store("shop") == home / "shop" / "spool"
    note_store("shop", Path("other"))
    assert find_store("shop") == home / "other"
    note_store("shop", None)
    assert find_store("shop") == store_directory("shop")


def test_the_servers_of_a_directory_are_known(home, monkeypatch):
    """By their notes, and by the name of the directory if it is in the state directory. Links do not matter."""
    note_store("shop", home / "spool")
    note_store("news", home / "elsewhere")
    note_store("blog", home / "spool")
    (home / "link").symlink_to(home)
    assert servers_of_store(home / "link" / "spool") == ("blog", "shop")
    assert servers_of_store(store_directory("shop")) == ("shop",)
    assert servers_of_store(home / "shop.tasks") == ()
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "none"))
    assert servers_of_store(home / "spool") == ()


def test_a_start_without_the_spooler_of_the_last_one_is_warned_of(home, caplog):
    """Its tasks wait in that directory."""
    (home / "spool").mkdir(parents=True)
    note_store("shop", home / "spool")
    note_store("shop", None)
    assert f"start with --spooler {home / 'spool'} to run them" in caplog.text


def test_the_working_directory_names_the_server(home):
    """As for `heliograph reload`."""
    name = server_name(None, home / "shop")
    assert find_store() == store_directory(name)
    note_store(name, Path("spool"))
    assert find_store() == home / "shop" / "spool"


def test_the_variables_of_the_options(home, monkeypatch):
    """They are those of `heliograph run`. A name that was passed wins."""
    monkeypatch.setenv("HELIOGRAPH_NAME", "shop")
    assert find_store() == store_directory("shop")
    monkeypatch.setenv("HELIOGRAPH_SPOOLER", "spool")
    assert find_store() == home / "shop" / "spool"
    monkeypatch.setenv("HELIOGRAPH_TASKS", "/of/the/server")
    assert find_store() == Path("/of/the/server")
    assert find_store("other") == store_directory("other")


def test_a_state_directory_that_cannot_be_written(home, monkeypatch, caplog):
    """The server goes on, and the log names the variable to use instead."""
    (home / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "file"))
    note_store("shop", Path("spool"))
    assert "HELIOGRAPH_SPOOLER" in caplog.text


@pytest.mark.parametrize(
    ("option", "variable", "is_allowed"),
    [
        (None, None, False),
        (None, "", False),
        (None, "0", False),
        (None, "False", False),
        (None, "no", False),
        (None, "OFF", False),
        (None, "1", True),
        (None, "true", True),
        ("1", "0", True),
        ("0", "1", False),
        (True, None, True),
    ],
)
def test_any_filesystem_is_true_or_false(monkeypatch, option, variable, is_allowed):
    """The option of uWSGI comes first, and is as the variable of any flag."""
    monkeypatch.delenv(ANY_FILESYSTEM_ENV, raising=False)
    if variable is not None:
        monkeypatch.setenv(ANY_FILESYSTEM_ENV, variable)
    assert allows_any_filesystem(option) == is_allowed
