"""The command line of real uWSGI that `heliograph run` makes."""

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
from heliograph.models import FarmSpec
from heliograph.settings.addresses import Address
from heliograph.settings.options import ServerSettings

PLAIN = ServerSettings(AppSpec("shop.tasks"))


def values(found: list[str], option: str) -> list[str]:
    """Return the argument after each occurrence of an option."""
    return [after for before, after in itertools.pairwise(found) if before == option]


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_arguments_include_the_options_that_signals_need():
    """A master, threads, a large queue, a required application, and SIGTERM that stops the server."""
    found = arguments(PLAIN, "/srv")
    assert {"--master", "--need-app", "--enable-threads", "--die-on-term", "--vacuum"} <= set(found)
    assert values(found, "--signal-bufsize") == ["4194304"]
    assert values(found, "--workers") == ["1"]
    assert "--py-call-osafterfork" not in found


def test_uwsgi_loads_the_entry_module_with_the_application_in_its_configuration():
    """The entry module loads the application that the configuration names. Its directory is importable."""
    found = arguments(PLAIN, "/srv")
    assert values(found, "--pythonpath") == ["/srv"]
    assert values(found, "--module") == ["heliograph.cli.uwsgi_entry"]
    assert values(found, "--set") == ["heliograph-app=shop.tasks"]


def test_options_that_were_not_given_are_absent():
    """A plain server has no mules, farms, spooler, threads or addresses, and loads before the fork."""
    found = arguments(PLAIN, "/srv")
    absent = {"--mules", "--farm", "--spooler", "--threads", "--http", "--socket", "--lazy-apps", "--shared-pyimport"}
    assert absent.isdisjoint(found)


def test_processes_and_addresses_are_translated():
    """Each setting becomes an option of uWSGI. Farms become NAME:1,2 and keep their order."""
    farms = (FarmSpec("b", (1, 2)), FarmSpec("a", (3,)))
    settings = ServerSettings(
        AppSpec("shop", "app"),
        workers=4,
        mules=3,
        farms=farms,
        spooler=Path("spool"),
        http=Address.parse("127.0.0.1:8000"),
        listen=Address.parse("x.sock"),
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


def test_a_server_without_address_listens_on_an_inherited_socket():
    """uWSGI starts no workers without a socket, so it gets one by its descriptor."""
    assert values(arguments(PLAIN, "/srv", idle_fd=7), "--socket") == ["fd://7"]


def test_with_lazy_apps_the_master_selects_the_engine():
    """The shared memory is created before the fork, although the application is loaded after it."""
    found = arguments(ServerSettings(AppSpec("shop"), lazy_apps=True), "/srv")
    assert "--lazy-apps" in found
    assert values(found, "--shared-pyimport") == ["heliograph.preload"]


def test_uwsgi_s_own_options_come_last_and_unchanged():
    """They can override all others."""
    command = ("--harakiri", "30", "--workers", "9")
    found = arguments(ServerSettings(AppSpec("shop"), command=command), "/srv")
    assert tuple(found[-4:]) == command


def test_the_script_in_the_interpreter_s_directory_comes_first(tmp_path):
    """The interpreter runs the wheel's script. --binary-path names the interpreter for a reload."""
    python, script = tmp_path / "venv/python", executable(tmp_path / "venv/uwsgi")
    executable(tmp_path / "elsewhere/uwsgi")
    found = find(str(python), str(tmp_path / "elsewhere"))
    assert found == Installation((str(python), str(script)), ("--binary-path", str(python)))


def test_a_uwsgi_on_the_path_comes_second(tmp_path):
    """A uWSGI of the system is executed without further options."""
    script = executable(tmp_path / "bin/uwsgi")
    assert find(str(tmp_path / "venv/python"), str(tmp_path / "bin")) == Installation((str(script),))


def test_a_missing_uwsgi_is_a_config_error(tmp_path):
    """The error has the command that installs it."""
    with pytest.raises(ConfigError, match=r'pip install "heliograph\[uwsgi\]"'):
        find(str(tmp_path / "python"), str(tmp_path))


def test_heliograph_engine_is_removed_from_the_environment():
    """The rest of the environment reaches the server."""
    variables = environment({engines.ENGINE_ENV: "inline", "HOME": "/root"}, 2000)
    assert variables == {"HOME": "/root", "HELIOGRAPH_TASK_BYTES": "2000"}


def test_a_server_that_cannot_be_executed_is_a_config_error(monkeypatch, tmp_path):
    """A broken executable gives one line, not a traceback."""
    broken = executable(tmp_path / "uwsgi")
    broken.write_bytes(b"\x7fELF nonsense")
    monkeypatch.setattr(uwsgi_server, "find", lambda: Installation((str(broken),)))
    with pytest.raises(ConfigError, match="cannot start"):
        uwsgi_server.start(ServerSettings(AppSpec("shop"), listen=Address.parse("x.sock")))


def test_start_replaces_the_process(monkeypatch):
    """It executes the interpreter's uWSGI, with the environment of this process."""
    calls = []

    class Replaced(BaseException):
        """Stands for the end of this program."""

    def execve(*call):
        calls.append(call)
        raise Replaced

    monkeypatch.setattr(uwsgi_server.os, "execve", execve)
    monkeypatch.setattr(uwsgi_server, "find", lambda: Installation((sys.executable, "uwsgi"), ("--binary-path", "p")))
    with pytest.raises(Replaced):
        uwsgi_server.start(ServerSettings(AppSpec("shop"), http=Address.parse("127.0.0.1:0")))
    file, argv, environ = calls[0]
    assert file == sys.executable
    assert argv[:4] == [sys.executable, "uwsgi", "--binary-path", "p"]
    assert values(argv, "--pythonpath") == [str(Path.cwd())]
    assert not values(argv, "--socket")
    assert engines.ENGINE_ENV not in environ
