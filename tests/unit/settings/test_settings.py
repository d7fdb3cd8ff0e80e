"""What `heliograph run` accepts: farms, spooler directories, addresses."""

from __future__ import annotations

import socket

import pytest

from heliograph.exceptions import ConfigError
from heliograph.models import FarmSpec
from heliograph.settings.addresses import check_address
from heliograph.settings.settings import check_spooler, parse_farms


def test_farms_keep_their_order_and_their_mules_order():
    """Farms are numbered in the order in which they are given."""
    assert parse_farms(["b=2,1", "a.x-y=3"], 3) == (FarmSpec("b", (2, 1)), FarmSpec("a.x-y", (3,)))
    assert parse_farms([], 0) == ()


@pytest.mark.parametrize(
    ("texts", "mules", "says"),
    [
        (["a=3"], 2, "no mule 3; this server has mules 1 to 2"),
        (["a=0"], 2, "no mule 0"),
        (["a=2"], 1, "this server has mule 1"),
        (["a=1"], 0, "this server has no mules"),
        (["a=1,1"], 2, "twice"),
        (["a=1", "a=2"], 2, "already is a farm 'a'"),
        (["a"], 2, "NAME=1,2"),
        (["a="], 2, "NAME=1,2"),
        (["=1"], 2, "NAME=1,2"),
        (["a=1,"], 2, "NAME=1,2"),
        (["a=x"], 2, "NAME=1,2"),
        (["a:1"], 2, "NAME=1,2"),
        (["a b=1"], 2, "NAME=1,2"),
        (["a=-1"], 2, "NAME=1,2"),
        (["x" * 60 + "=1"], 2, "longer than 63 bytes"),
    ],
)
def test_a_farm_that_cannot_be_is_refused_by_name(texts, mules, says):
    """A farm that is malformed, twice there or names a mule that is not there is a ConfigError that says which."""
    with pytest.raises(ConfigError, match=says) as caught:
        parse_farms(texts, mules)
    assert texts[-1] in str(caught.value)


def test_a_spooler_directory_may_be_there_or_its_parent(tmp_path):
    """A directory is accepted; so is one that can be made."""
    assert check_spooler(tmp_path) is None
    assert check_spooler(tmp_path / "spool") is None
    assert not (tmp_path / "spool").exists()


def test_a_spooler_directory_without_parent_is_refused_with_the_way_out(tmp_path):
    """A mistyped path makes no tree of directories: the message says what to do."""
    with pytest.raises(ConfigError, match="mkdir -p"):
        check_spooler(tmp_path / "no" / "spool")


def test_a_file_is_no_spooler_directory(tmp_path):
    """A file in the place of the directory is refused."""
    (tmp_path / "spool").touch()
    with pytest.raises(ConfigError, match="not a directory"):
        check_spooler(tmp_path / "spool")


@pytest.mark.parametrize("address", ["127.0.0.1:0", ":0", "localhost:0"])
def test_a_free_port_is_fine(address):
    """HOST:PORT and :PORT are addresses; port 0 lets the system choose."""
    assert check_address("--http", address) is None


def test_a_path_of_a_unix_socket_is_fine(tmp_path, monkeypatch):
    """A path is an address, absolute or not, also where a dead server left its socket."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind("dead.sock")
    for address in (f"{tmp_path}/new.sock", "./new.sock", "new.sock", "dead.sock"):
        assert check_address("--socket", address) is None
    assert (tmp_path / "dead.sock").is_socket()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:65536", "not a port"),
        ("127.0.0.1:http", "not a port"),
        ("127.0.0.1:", "not a port"),
        ("127.0.0.1:-1", "not a port"),
        ("::1:80", "brackets"),
        ("8000", "HOST:PORT"),
        ("", "HOST:PORT"),
        ("/no/such/dir/x.sock", "no directory"),
        ("/tmp/" + "x" * 100, "102 bytes"),
        ("192.0.2.1:0", "cannot listen"),
        ("no.such.host.invalid:80", "cannot listen"),
    ],
)
def test_an_unusable_address_is_refused(address, says):
    """What no server can listen at is a ConfigError that names the option and says why."""
    with pytest.raises(ConfigError, match=says) as caught:
        check_address("--http", address)
    assert str(caught.value).startswith(f"--http {address}")


def test_a_port_that_somebody_listens_on_is_refused():
    """An address in use is found before the server starts."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        with pytest.raises(ConfigError, match="in use"):
            check_address("--http", address)


def test_the_socket_of_a_living_server_is_not_taken_away(tmp_path):
    """uWSGI would remove a socket that another server listens on; it is refused."""
    path = str(tmp_path / "x.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()
        with pytest.raises(ConfigError, match="another server"):
            check_address("--socket", path)


def test_a_file_is_not_removed_for_a_socket(tmp_path):
    """uWSGI would remove a plain file at the path; it is refused and stays."""
    (tmp_path / "notes.txt").write_text("dear diary")
    with pytest.raises(ConfigError, match="a file, not a socket"):
        check_address("--socket", str(tmp_path / "notes.txt"))
    assert (tmp_path / "notes.txt").read_text() == "dear diary"
