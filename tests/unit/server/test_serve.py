"""`serve()`: keywords become the settings of a master."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import heliograph
from heliograph.application import AppSpec
from heliograph.exceptions import ConfigError
from heliograph.ipc.instance import server_name
from heliograph.models import FarmSpec
from heliograph.server import master
from heliograph.settings.addresses import Address
from heliograph.settings.options import ServerSettings


@pytest.fixture
def masters(monkeypatch, tmp_path):
    """Settings of the masters that were started, in place of a server. Each exits with code 7."""
    started: list[ServerSettings] = []

    class Master:
        def __init__(self, settings, *, ends_process):
            assert not ends_process  # the program goes on
            started.append(settings)

        def run(self):
            return 7

    monkeypatch.setattr(master, "Master", Master)
    monkeypatch.chdir(tmp_path)
    return started


def test_keywords_become_settings(masters, tmp_path):
    """The exit code is the master's."""
    code = heliograph.serve(
        "tasks",
        workers=2,
        mules=2,
        farms={"a": [1, 2]},
        spooler="spool",
        name="shop",
        lazy_apps=True,
        graceful_timeout=5,
        max_signals=9,
        max_rss="200M",
        max_age="1h",
        time_limit=0.5,
        listen="x.sock",
        allow_remote=[17],
        log_level="debug",
        log_config=Path("/dev/null"),
        command=["gunicorn", "shop"],
    )
    assert code == 7
    assert masters == [
        ServerSettings(
            AppSpec("tasks"),
            command=("gunicorn", "shop"),
            workers=2,
            mules=2,
            farms=(FarmSpec("a", (1, 2)),),
            spooler=tmp_path.joinpath("spool").relative_to(tmp_path),
            name="shop",
            lazy_apps=True,
            graceful_timeout=5.0,
            max_signals=9,
            max_rss=200 << 20,
            max_age=3600.0,
            time_limit=0.5,
            listen=Address(path="x.sock"),
            allow_remote=frozenset({17}),
            log_level="debug",
            log_config=Path("/dev/null"),
        )
    ]
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


def test_the_name_is_derived_from_the_directory(masters, tmp_path):
    """As `heliograph signals` does it."""
    heliograph.serve("tasks")
    assert [settings.name for settings in masters] == [server_name(None, tmp_path)]


def test_the_environment_does_not_apply(masters, monkeypatch):
    """The variables are for the command. A program can read them itself."""
    monkeypatch.setenv("HELIOGRAPH_MULES", "3")
    heliograph.serve("tasks")
    assert [settings.mules for settings in masters] == [0]


def test_the_socket_of_a_running_server_is_refused(masters, tmp_path):
    """Before a master is started. The socket stays."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "x.sock"))
        sock.listen()
        with pytest.raises(ConfigError, match=r"listen='x.sock': another server listens there\. Stop it"):
            heliograph.serve("tasks", listen="x.sock")
        assert (tmp_path / "x.sock").is_socket()
    assert masters == []


@pytest.mark.parametrize("keywords", [{"workers": 0}, {"mules": -1}, {"farms": {"a": [1]}}, {"name": "a/b"}])
def test_bad_keywords_are_a_config_error(masters, keywords):
    """Before a master is started (see the tests of options)."""
    with pytest.raises(ConfigError):
        heliograph.serve("tasks", **keywords)
    assert masters == []
