"""Addresses: parse, check, listen, connect."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from heliograph.settings.addresses import Address


@pytest.fixture
def umask():
    """Set the umask for a test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:3031", Address("127.0.0.1", 3031)),
        (":3031", Address("", 3031)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:3031", Address("::1", 3031)),
        ("/run/shop.sock", Address(path="/run/shop.sock")),
        ("./shop.sock", Address(path="./shop.sock")),
        ("shop.sock", Address(path="shop.sock")),
        ("./a:1", Address(path="./a:1")),
    ],
)
def test_an_address_is_tcp_or_a_path_and_prints_as_it_was_written(text, address):
    """A text with a slash or without a colon is the path of a Unix socket."""
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("127.0.0.1:65536", "'65536' is not a port"),
        ("127.0.0.1:http", "'http' is not a port"),
        ("127.0.0.1:", "'' is not a port"),
        ("127.0.0.1:-1", "'-1' is not a port"),
        ("a:b:c", "'c' is not a port"),
        ("::1:80", "brackets"),
        ("[localhost]:80", "brackets"),
        ("[::1:80", "brackets"),
        ("8000", "not an address"),
        ("", "not an address"),
    ],
)
def test_other_texts_are_refused_with_the_forms(text, says):
    """The message lists what an address can be."""
    with pytest.raises(ValueError, match=says) as caught:
        Address.parse(text)
    assert "Use HOST:PORT, [IPV6]:PORT, :PORT or the path of a Unix socket" in str(caught.value)


@pytest.mark.parametrize("text", ["127.0.0.1:0", ":0", "localhost:0"])
def test_a_free_port_can_be_listened_at(text):
    """Port 0 lets the system select a port."""
    address = Address.parse(text)
    assert address.check_listenable() is None
    with closing(address.listen()) as listener:
        assert listener.getsockname()[1] > 0


def test_check_leaves_the_file_of_an_exited_server_and_listen_replaces_it(tmp_path, monkeypatch):
    """A path can be absolute or not, and can have the socket of a server that has exited."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind("dead.sock")
    for path in (f"{tmp_path}/new.sock", "./newer.sock", "newest.sock", "dead.sock"):
        address = Address.parse(path)
        before = Path(path).exists()
        assert address.check_listenable() is None
        assert Path(path).exists() == before
        with closing(address.listen()), address.connect(5.0) as client:
            assert client.getpeername() == str(Path(path))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/no/such/dir/x.sock", "no directory /no/such/dir"),
        ("/tmp/" + "x" * 100, "at most 102 bytes"),
        ("192.0.2.1:0", "Use an address of this machine"),
        ("no.such.host.invalid:80", "cannot listen"),
    ],
)
def test_an_unusable_address_is_refused_with_the_reason(text, says):
    """By the check, and by `listen()` itself."""
    for refuse in (Address.parse(text).check_listenable, Address.parse(text).listen):
        with pytest.raises(ValueError, match=says):
            refuse()


def test_a_port_in_use_is_refused():
    """The reason is the system's own, and the advice is about the port."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = Address("127.0.0.1", sock.getsockname()[1])
        for refuse in (address.check_listenable, address.listen):
            with pytest.raises(
                ValueError, match=r"in use.*\. Stop the program that listens there, or use another port"
            ):
                refuse()


def test_the_socket_of_a_running_server_stays(tmp_path):
    """The check and `listen()` refuse it, and the server still answers."""
    address = Address.parse(str(tmp_path / "x.sock"))
    with closing(address.listen()):
        file = address.file_id()
        for refuse in (address.check_listenable, address.listen):
            with pytest.raises(ValueError, match="another server listens there"):
                refuse()
        assert address.file_id() == file
        address.connect(5.0).close()


def test_the_socket_of_a_running_server_with_a_full_queue_stays(tmp_path):
    """A connection that would have to wait counts as an answer."""
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(str(path))
        listener.listen(0)
        waiting.connect(str(path))
        with pytest.raises(ValueError, match="another server listens there"):
            Address.parse(str(path)).listen()


def test_a_socket_that_this_user_cannot_connect_to_stays(tmp_path, monkeypatch):
    """It can be the socket of another user's running server."""
    address = Address.parse(str(tmp_path / "x.sock"))
    with closing(address.listen()):

        def denied(_sock, _address):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(socket.socket, "connect", denied)
        with pytest.raises(ValueError, match="belongs to another user"):
            address.listen()


def test_a_file_that_is_not_a_socket_stays(tmp_path):
    """The check and `listen()` refuse it."""
    (tmp_path / "notes.txt").write_text("dear diary")
    address = Address.parse(str(tmp_path / "notes.txt"))
    for refuse in (address.check_listenable, address.listen):
        with pytest.raises(ValueError, match="a file that is not a socket"):
            refuse()
    assert (tmp_path / "notes.txt").read_text() == "dear diary"


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o177, 0o777])
def test_a_unix_socket_has_mode_0600_whatever_the_umask_is(tmp_path, umask, mask):
    """So only its owner can connect."""
    umask(mask)
    path = tmp_path / "x.sock"
    with closing(Address.parse(str(path)).listen()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_others_cannot_connect_between_bind_and_chmod(tmp_path, umask, monkeypatch):
    """The file is created without permissions for others."""
    umask(0o000)
    modes = []
    monkeypatch.setattr(Path, "chmod", lambda path, mode: modes.append((mode, stat.S_IMODE(path.stat().st_mode))))
    Address.parse(str(tmp_path / "x.sock")).listen().close()
    assert modes == [(0o600, 0o600)]


def test_only_its_own_file_is_removed(tmp_path):
    """The file of a later server stays."""
    path = tmp_path / "x.sock"
    address = Address.parse(str(path))
    with closing(address.listen()):
        first = address.file_id()
        path.rename(tmp_path / "moved.sock")
        with closing(address.listen()):
            address.remove_file(first)
            assert path.is_socket()
            address.remove_file(address.file_id())
            assert not path.exists()
    address.remove_file(address.file_id())
    Address.parse(":0").remove_file(None)
    assert (tmp_path / "moved.sock").is_socket()


def test_a_port_alone_is_this_machine_to_a_client():
    """`:3031` connects to 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with Address("", port).connect(5.0) as client:
            assert client.getpeername() == ("127.0.0.1", port)


def test_port_0_cannot_be_connected_to():
    """The message lists what an address can be."""
    with pytest.raises(ValueError, match=r"port 0\. Use HOST:PORT"):
        Address.parse("127.0.0.1:0").connect(5.0)
