"""The warning for tests of an application that would store tasks in a real server."""

import os
import subprocess
import sys
import warnings

import pytest

from heliograph import engines
from heliograph.engines.detached import DetachedEngine
from heliograph.exceptions import HeliographWarning

SERVER = """
import sys, time
from heliograph.ipc.store_directory import ServerLock, make_directory
make_directory(sys.argv[1])
lock = ServerLock(sys.argv[1], "shop")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path):
    """The directory of a server that runs."""
    command = [sys.executable, "-c", SERVER, str(tmp_path / "spool")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        yield tmp_path / "spool"
        process.stdin.close()


def test_a_test_that_uses_the_tasks_of_a_running_server_is_warned_once(directory):
    """The warning names the line of the test."""
    engine = DetachedEngine(directory=directory, selected=True)
    with pytest.warns(HeliographWarning, match="tasks of the running server 'shop'.*heliograph_engine") as caught:
        engine.task_store()
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine.task_store()
        DetachedEngine(directory=directory).task_store()  # a program that asked for the engine


def test_without_a_server_there_is_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DetachedEngine(directory=tmp_path, selected=True).task_store()


def test_unittest_is_recognized_and_programs_are_not_warned(directory, tmp_path):
    (tmp_path / "test_shop.py").write_text(
        "import unittest, heliograph.engines\n"
        "class Shop(unittest.TestCase):\n"
        "    def test_it(self): heliograph.engines.current().task_store()\n"
        "if __name__ == '__main__': heliograph.engines.current().task_store()\n"
    )
    environ = {**os.environ, "HELIOGRAPH_SPOOLER": str(directory), "PYTHONWARNINGS": "default"}
    for arguments, expected in ((["-m", "unittest", "test_shop"], 1), (["test_shop.py"], 0)):
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
        assert done.stderr.count("HeliographWarning") == expected


def test_the_selected_engine_warns(monkeypatch, directory):
    monkeypatch.setenv("HELIOGRAPH_ENGINE", "detached")
    monkeypatch.setenv("HELIOGRAPH_SPOOLER", str(directory))
    with engines.using(engines._choose_now()), pytest.warns(HeliographWarning):
        engines.current().task_store()
