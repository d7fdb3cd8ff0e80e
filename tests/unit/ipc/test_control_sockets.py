"""The places where a command looks for the servers that run."""

import os
import socket
import stat

import pytest

from heliograph.exceptions import ConfigError
from heliograph.ipc import control_sockets
from heliograph.ipc.instance import InstanceLock, control_socket, find_control_socket, running_servers, server_name

USER = 1000


@pytest.fixture(autouse=True)
def places(directory, monkeypatch):
    """The runtime directory of a login, the runtime directories of all users, and two temporary directories."""
    for name in ("login", "users", "tmp", "private"):
        (directory / name).mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory / "login"))
    monkeypatch.setattr(control_sockets, "_RUN_USER", directory / "users")
    monkeypatch.setattr(control_sockets, "_TEMPORARY", directory / "tmp")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(directory / "private"))
    return directory


@pytest.fixture
def serve():
    """A function that lets a server listen at a path, whose directory it makes."""
    listeners = []

    def serve(path, owner=None):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        listeners.append(listener := socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen()
        if owner is not None:
            os.chown(path.parent, owner, owner)
        return path

    yield serve
    for listener in listeners:
        listener.close()


def own_places(directory):
    uid = os.getuid()
    return [
        directory / "login" / "heliograph",
        directory / "users" / str(uid) / "heliograph",
        directory / "private" / f"heliograph-{uid}",
        directory / "tmp" / f"heliograph-{uid}",
    ]


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("login", [True, False])
def test_a_server_is_found_wherever_it_was_started(places, serve, monkeypatch, place, login):
    """With and without XDG_RUNTIME_DIR, as in a login shell and under a service manager."""
    if not login:
        monkeypatch.delenv("XDG_RUNTIME_DIR")
    path = serve(own_places(places)[place] / "shop.sock")
    is_known = login or place > 0
    assert running_servers() == (("shop",) if is_known else ())
    assert (find_control_socket("shop") == path) is is_known
    assert find_control_socket("news") == control_socket("news")


def test_a_server_of_this_directory_is_found_in_each_place(places, serve, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = serve(own_places(places)[3] / f"{server_name(None, tmp_path)}.sock")
    assert find_control_socket(None) == path


def test_a_name_is_taken_once_in_all_places(places, serve, descriptors):
    """A second server with that name is refused, with the process id of the first."""
    path = serve(own_places(places)[3] / "shop.sock")
    path.with_suffix(".lock").write_text("4711\n")
    before = descriptors()
    with pytest.raises(ConfigError, match=r"server already running: 'shop' \(process 4711\)"):
        InstanceLock("shop")
    assert descriptors() == before
    InstanceLock("shop", places / "login" / "other.sock").release()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_root_finds_the_servers_of_all_users(places, serve, monkeypatch):
    """Wherever they are. Its own server comes first."""
    paths = [
        serve(places / "users" / str(USER) / "heliograph" / "one.sock", USER),
        serve(places / "tmp" / f"heliograph-{USER}" / "two.sock", USER),
    ]
    os.chown(places / "login", USER, USER)  # sudo -E
    paths.append(serve(places / "login" / "heliograph" / "three.sock", USER))
    assert running_servers() == ("one", "three", "two")
    assert [find_control_socket(name) for name in ("one", "two", "three")] == paths
    assert control_socket("mine").parent == places / "private" / "heliograph-0"
    own = serve(places / "private" / "heliograph-0" / "one.sock")
    assert find_control_socket("one") == own
    InstanceLock("two").release()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_root_chooses_between_two_users(places, serve):
    """The error names the paths to choose from."""
    paths = [serve(places / "users" / str(uid) / "heliograph" / "shop.sock", uid) for uid in (USER, USER + 1)]
    with pytest.raises(ConfigError, match=rf"several users.*--control: {paths[0]}, {paths[1]}"):
        find_control_socket("shop")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_a_directory_that_another_user_made_is_not_used(places, serve):
    """Another user could offer a server under the name of this one's directory."""
    serve(places / "tmp" / f"heliograph-{os.getuid()}" / "shop.sock", USER)
    serve(places / "tmp" / f"heliograph-{USER}" / "news.sock", USER + 1)
    assert running_servers() == ()


@pytest.mark.parametrize("umask", [0, 0o777])
def test_what_a_server_makes_is_private_whatever_the_umask_is(places, umask, monkeypatch):
    """The directory, its missing parents, and the lock."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(places / "a" / "b"))
    before = os.umask(umask)
    try:
        lock = InstanceLock("shop")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((places / path).stat().st_mode) for path in ("a", "a/b", "a/b/heliograph")]
    assert modes == [0o700] * 3
    assert stat.S_IMODE((places / "a/b/heliograph/shop.lock").stat().st_mode) == 0o600
    lock.release()


# servers with a control socket of their own


@pytest.fixture
def own_path(places, serve):
    """A server with the name shop that listens somewhere else, and its path."""
    path = places / "run" / "control.sock"
    path.parent.mkdir(mode=0o700)
    lock = InstanceLock("shop", path)
    serve(path)
    yield path
    lock.release()


def test_a_server_with_a_path_of_its_own_is_found_by_its_name(own_path):
    """`list` shows it, too."""
    assert find_control_socket("shop").samefile(own_path)
    assert running_servers() == ("shop",)


def test_the_link_is_removed_with_the_server(places, serve):
    """Its name is free again, and the link of a server that was killed is replaced."""
    path = places / "run" / "control.sock"
    path.parent.mkdir(mode=0o700)
    link = control_socket("shop")
    link.symlink_to(places / "nowhere")
    lock = InstanceLock("shop", path)
    serve(path)
    assert link.samefile(path)
    lock.release()
    assert not os.path.lexists(link)


def test_a_name_that_is_taken_is_not_linked(places, serve):
    """The server is found by its path then, as before."""
    path = places / "run" / "control.sock"
    path.parent.mkdir(mode=0o700)
    first = serve(control_socket("shop"))
    InstanceLock("shop", path).release()
    assert find_control_socket("shop") == first
    assert not first.is_symlink()


def test_a_server_without_a_path_can_take_the_name(own_path):
    """It has its own socket. Only the commands cannot tell the two apart by name."""
    InstanceLock("shop").release()
    assert find_control_socket("shop").samefile(own_path)


def test_a_link_of_another_server_stays(own_path, serve):
    """Both have the same name, and the first one stops later."""
    link = control_socket("shop")
    second = own_path.with_name("second.sock")
    lock = InstanceLock("shop", own_path.with_name("third.sock"))
    link.unlink()
    link.symlink_to(serve(second))
    lock.release()
    assert link.samefile(second)


def test_without_a_directory_of_sockets_there_is_no_link(places):
    """A path of its own is the way out if that directory is not usable."""
    (places / "login" / "heliograph").mkdir(mode=0o755)
    path = places / "run" / "control.sock"
    path.parent.mkdir(mode=0o700)
    InstanceLock("shop", path).release()
    assert list((places / "login" / "heliograph").iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
def test_a_link_to_the_socket_of_another_user_is_not_followed(places, serve):
    """A user could lead a command of root to another socket."""
    target = serve(places / "other" / "some.sock")
    directory = places / "tmp" / f"heliograph-{USER}"
    directory.mkdir(mode=0o700)
    (directory / "shop.sock").symlink_to(target)
    os.chown(directory, USER, USER)
    assert running_servers() == ()
    os.chown(target, USER, USER)
    assert running_servers() == ("shop",)


@pytest.mark.parametrize("depth", [0, 1], ids=["the directory", "XDG_RUNTIME_DIR too"])
def test_a_removed_directory_is_created_again(directory, monkeypatch, depth):
    """With mode 0700, also `XDG_RUNTIME_DIR`, which systemd removes when its user logs out."""
    runtime = directory / "1000"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    if not depth:
        runtime.mkdir(0o755)
    control_sockets.create_again(runtime / "heliograph")
    assert stat.S_IMODE((runtime / "heliograph").stat().st_mode) == 0o700
    assert stat.S_IMODE(runtime.stat().st_mode) == (0o700 if depth else 0o755)


def test_other_missing_parents_are_left_alone(directory, monkeypatch):
    """A file system may not be mounted there."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory / "no" / "1000"))
    for path in (directory / "no" / "1000" / "heliograph", directory / "run" / "control"):
        with pytest.raises(ConfigError, match=r"\(No such file or directory\)\.$"):
            control_sockets.create_again(path)
    assert not (directory / "no").exists()
    assert not (directory / "run").exists()


def test_a_user_who_has_logged_out_gets_advice(directory, monkeypatch):
    """A user cannot create the directory that systemd removes."""
    monkeypatch.setattr(control_sockets, "_RUN_USER", directory / "user")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory / "user" / "1000"))
    with pytest.raises(ConfigError, match="unless you run `loginctl enable-linger`"):
        control_sockets.create_again(directory / "user" / "1000" / "heliograph")
