"""Options of the status page."""

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from heliograph.cli import main
from heliograph.settings.addresses import Address
from heliograph.settings.page_options import HostNames, PageAddress, TokenFilePath


def test_the_address_is_one_to_listen_at(tmp_path):
    """It must be free."""
    assert PageAddress().from_text("127.0.0.1:0") == Address("127.0.0.1", 0)
    with Address("127.0.0.1", 0).listen() as taken:
        host, port = taken.getsockname()
        with pytest.raises(ValueError, match="Stop the program that listens there, or use another port"):
            PageAddress().from_text(f"{host}:{port}")
        assert PageAddress(is_free=False).from_text(f"{host}:{port}").port == port
    with pytest.raises(ValueError, match="there is no directory"):
        PageAddress().from_value(tmp_path / "missing" / "page.sock")


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "prometheus_client"])
def test_a_missing_package_is_named(monkeypatch, package):
    """With the command that installs it."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(ValueError, match=rf"needs {package}\. Run pip install 'heliograph\[web\]'"):
        PageAddress().from_text("127.0.0.1:0")


def test_the_token_file_is_checked_at_the_start(tmp_path, monkeypatch):
    """The path becomes absolute, since the page's process may have another directory."""
    monkeypatch.chdir(tmp_path)
    Path("token").touch(mode=0o600)
    with pytest.raises(ValueError, match="has no token"):
        TokenFilePath().from_text("token")
    Path("token").write_text("0123456789abcdef")
    assert TokenFilePath().from_text("token") == tmp_path / "token"


def test_hosts_are_names():
    """Without ports and schemes."""
    assert HostNames().from_text("a.example.org, b") == ("a.example.org", "b")
    assert HostNames().from_value(["a"]) == ("a",)
    for bad in ("", "a,,b", "https://a", "a:80", "*"):
        with pytest.raises(ValueError, match="is not the name of a host"):
            HostNames().from_text(bad)


@pytest.mark.parametrize(("flag", "value"), [("--http-host", "a"), ("--http-token-file", "token")])
def test_an_option_of_the_page_needs_the_page(tmp_path, monkeypatch, flag, value):
    """Otherwise a forgotten --http-status would stay unnoticed."""
    monkeypatch.chdir(tmp_path)
    Path("tasks.py").touch()
    Path("token").touch(mode=0o600)
    Path("token").write_text("0123456789abcdef")
    result = CliRunner().invoke(main, ["run", "tasks", "--print-plan", flag, value])
    assert result.exit_code == 2
    assert f"{flag} is for the status page. Add --http-status ADDR" in result.stderr
