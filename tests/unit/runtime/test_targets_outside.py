"""Targets that the running server does not have, used in a process outside it: a shell, cron."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from heliograph import engines
from heliograph.cli import main
from heliograph.engines.detached import DetachedEngine
from heliograph.exceptions import TargetError
from heliograph.runtime.mules import Farm, Mule
from heliograph.runtime.spooler import Spooler

SERVER = """
import sys
from heliograph.ipc.store_directory import ServerLock
from heliograph.models import FarmSpec, Topology
lock = ServerLock(sys.argv[1], "shop", Topology(1, 1, (FarmSpec("crunchers", (1,)),), spoolers=int(sys.argv[2])))
print(flush=True)
input()
"""


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOGRAPH_TASK_SYNC", "process")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "spool"
    path.mkdir(mode=0o700)
    with engines.using(DetachedEngine(directory=path)):
        yield path
        engines.current().task_store().close()


@pytest.fixture(params=[1])
def server(directory, request):
    """A server with one mule, one farm and a number of spoolers, of which only the lock is real."""
    command = [sys.executable, "-c", SERVER, directory, str(request.param)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.communicate(b"\n")


def stored():
    return [(row.name, row.target) for row in engines.current().task_store().find()]


@pytest.mark.usefixtures("server")
def test_a_message_to_a_mule_or_farm_that_the_server_lacks_is_an_error():
    with pytest.raises(TargetError, match=r"mule9.*this server has 1 mule"):
        Mule(9).send("x")
    with pytest.raises(TargetError, match=r"farm_nope.*no farm of that name.*farm_crunchers"):
        Farm("nope").send("x")
    assert Mule(1).send("x")
    assert Farm("crunchers").send("x")
    assert [target for _, target in stored()] == ["farm_crunchers", "mule1"]


def test_without_a_server_the_next_one_may_have_the_mule(directory):
    assert Mule(9).send("x")
    assert Farm("nope").send("x")
    assert Spooler.send_message_raw("x", spooler="nope")
    assert len(stored()) == 3


@pytest.mark.usefixtures("server")
def test_a_message_to_a_spooler_that_the_server_lacks_is_an_error(directory):
    with pytest.raises(TargetError, match=r"nope.*no such spooler.*spool"):
        Spooler.send_message_raw("x", spooler="nope")
    Spooler.send_message_raw("x", spooler=str(directory))
    Spooler.send_message_raw("x", spooler=Spooler("spool"))  # the same one, by a relative path
    assert len(stored()) == 2


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("server", [0], indirect=True)
def test_a_server_without_a_spooler_has_none_by_that_name(directory):
    with pytest.raises(TargetError, match="no such spooler"):
        Spooler.send_message_raw("x", spooler=str(directory))
    assert Spooler.send_message_raw("x")


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("server", [2], indirect=True)
def test_the_names_of_several_spoolers_are_not_known_outside():
    assert Spooler.send_message_raw("x", spooler="another")


@pytest.mark.usefixtures("server")
def test_the_command_refuses_a_target_that_the_server_lacks():
    command = ["enqueue", "a:b", "--unchecked", "--spooler", "spool", "--target"]
    done = CliRunner().invoke(main, [*command, "mule9"])
    assert (done.exit_code, "this server has 1 mule" in done.stderr) == (2, True)
    assert stored() == []
    assert CliRunner().invoke(main, [*command, "mule1"]).exit_code == 0
    assert stored() == [("a:b", "mule1")]
