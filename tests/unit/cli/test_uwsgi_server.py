"""The command line of real uWSGI, as `heliograph run` writes it."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from heliograph import engines
from heliograph.application import AppSpec
from heliograph.cli import uwsgi_server
from heliograph.cli.uwsgi_server import Installation, arguments, environment, find
from heliograph.exceptions import ConfigError
from heliograph.models import FarmSpec, Topology
from heliograph.settings.settings import ServerSettings

PLAIN = ServerSettings(AppSpec("shop.tasks"), Topology(workers=1))


def values(found: list[str], option: str) -> list[str]:
    """What follows each occurrence of an option."""
    return [after for before, after in itertools.pairwise(found) if before == option]


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_signals_get_all_they_need():
    """A master, threads, a large queue, an application or none at all, and SIGTERM that ends the server."""
    found = arguments(PLAIN, "/srv")
    assert {"--master", "--need-app", "--enable-threads", "--die-on-term", "--vacuum"} <= set(found)
    assert values(found, "--signal-bufsize") == ["4194304"]
    assert values(found, "--workers") == ["1"]
    assert "--py-call-osafterfork" not in found


def test_the_application_is_named_in_the_configuration_and_its_directory_importable():
    """uWSGI loads our module, which loads the application that the configuration names."""
    found = arguments(PLAIN, "/srv")
    assert values(found, "--pythonpath") == ["/srv"]
    assert values(found, "--module") == ["heliograph.cli.uwsgi_entry"]
    assert values(found, "--set") == ["heliograph-app=shop.tasks"]


def test_what_is_not_asked_for_is_not_there():
    """A plain server has no mules, farms, spooler, threads or addresses, and loads before the fork."""
    found = arguments(PLAIN, "/srv")
    absent = {"--mules", "--farm", "--spooler", "--threads", "--http", "--socket", "--lazy-apps", "--shared-pyimport"}
    assert absent.isdisjoint(found)


def test_processes_and_addresses_are_translated():
    """Each setting is an option of uWSGI's; farms are NAME:1,2 there and keep their order."""
    farms = (FarmSpec("b", (1, 2)), FarmSpec("a", (3,)))
    settings = ServerSettings(
        AppSpec("shop", "app"),
        Topology(workers=4, mules=3, farms=farms, spoolers=1),
        spooler=Path("spool"),
        http="127.0.0.1:8000",
        socket="x.sock",
        threads=8,
    )
    found = arguments(settings, "/srv")
    assert values(found, "--set") == ["heliograph-app=shop:app"]
    assert values(found, "--workers") == ["4"]
    assert values(found, "--mules") == ["3"]
    assert values(found, "--threads") == ["8"]
    assert values(found, "--farm") == ["b:1,2", "a:3"]
    assert values(found, "--spooler") == ["spool"]
    assert values(found, "--http") == ["127.0.0.1:8000"]
    assert values(found, "--socket") == ["x.sock"]


def test_a_server_that_nobody_reaches_listens_on_an_inherited_socket():
    """uWSGI starts no workers without a socket, so it gets one by its descriptor."""
    assert values(arguments(PLAIN, "/srv", idle_fd=7), "--socket") == ["fd://7"]


def test_with_lazy_apps_the_engine_is_chosen_in_the_master():
    """What processes share is made before the fork, though the application is loaded after it."""
    found = arguments(ServerSettings(AppSpec("shop"), Topology(workers=1), lazy_apps=True), "/srv")
    assert "--lazy-apps" in found
    assert values(found, "--shared-pyimport") == ["heliograph.preload"]


def test_flags_of_the_servers_own_come_last_and_untouched():
    """They can change everything before them."""
    extra = ("--harakiri", "30", "--workers", "9")
    found = arguments(ServerSettings(AppSpec("shop"), Topology(workers=1), extra=extra), "/srv")
    assert tuple(found[-4:]) == extra


def test_the_script_beside_the_interpreter_comes_first(tmp_path):
    """The wheel's script is run by its interpreter, and told which to start again at a reload."""
    python, script = tmp_path / "venv/python", executable(tmp_path / "venv/uwsgi")
    executable(tmp_path / "elsewhere/uwsgi")
    found = find(str(python), str(tmp_path / "elsewhere"))
    assert found == Installation((str(python), str(script)), ("--binary-path", str(python)))


def test_else_a_uwsgi_on_the_path(tmp_path):
    """A uWSGI of the system is executed as it is."""
    script = executable(tmp_path / "bin/uwsgi")
    assert find(str(tmp_path / "venv/python"), str(tmp_path / "bin")) == Installation((str(script),))


def test_without_uwsgi_the_way_to_get_it_is_said(tmp_path):
    """No uWSGI is a ConfigError with the command that installs it."""
    with pytest.raises(ConfigError, match=r'pip install "heliograph\[uwsgi\]"'):
        find(str(tmp_path / "python"), str(tmp_path))


def test_the_server_chooses_its_engine_itself():
    """HELIOGRAPH_ENGINE of the shell does not reach the server; the rest of the environment does."""
    assert environment({engines.ENGINE_ENV: "inline", "HOME": "/root"}) == {"HOME": "/root"}


def test_a_server_that_cannot_be_executed_is_a_config_error(monkeypatch, tmp_path):
    """A broken executable is one line, not a traceback."""
    broken = executable(tmp_path / "uwsgi")
    broken.write_bytes(b"\x7fELF nonsense")
    monkeypatch.setattr(uwsgi_server, "find", lambda: Installation((str(broken),)))
    with pytest.raises(ConfigError, match="cannot start"):
        uwsgi_server.start(ServerSettings(AppSpec("shop"), Topology(workers=1), socket="x.sock"))


def test_start_becomes_the_server(monkeypatch):
    """The server is executed in place of the command, with the interpreter's own uWSGI and our environment."""
    calls = []

    class Replaced(BaseException):
        """Stands for the process that is no more."""

    def execve(*call):
        calls.append(call)
        raise Replaced

    monkeypatch.setattr(uwsgi_server.os, "execve", execve)
    monkeypatch.setattr(uwsgi_server, "find", lambda: Installation((sys.executable, "uwsgi"), ("--binary-path", "p")))
    with pytest.raises(Replaced):
        uwsgi_server.start(ServerSettings(AppSpec("shop"), Topology(workers=1), http="127.0.0.1:0"))
    file, argv, environ = calls[0]
    assert file == sys.executable
    assert argv[:4] == [sys.executable, "uwsgi", "--binary-path", "p"]
    assert values(argv, "--pythonpath") == [str(Path.cwd())]
    assert not values(argv, "--socket")
    assert engines.ENGINE_ENV not in environ
