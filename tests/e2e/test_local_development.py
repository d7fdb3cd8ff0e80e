"""`heliograph run --reload`: real edits of real files."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from heliograph.ipc.instance import control_socket
from heliograph.testing.harness.harness import eventually

pytestmark = pytest.mark.needs("watchfiles")

APP = """
import shop.views

@Signal(1).register_handler("mule")
def work():
    record(shop.views.WORD)
"""


class Development:
    """A server that reloads by itself."""

    def __init__(self, server) -> None:
        self.server = server
        self.directory: Path = server.directory

    def start(self, *arguments: str) -> None:
        self.write("shop/__init__.py", "")
        self.write("shop/views.py", "WORD = 'first'\n")
        self.server.start(APP, "--mules", "1", "--reload", *arguments)
        self.server.await_log("Reloading when ")
        self.server.await_log("Started command reloader")

    def write(self, name: str, text: str) -> None:
        """Write a file as editors do: a new file takes the place of the old one."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.tmp")
        new.write_text(text)
        new.replace(path)

    def await_word(self, word: str) -> None:
        """Send signals until the code answers with that word."""

        def answered() -> bool:
            self.server.send(1)
            return bool(self.server.events(word))

        try:
            eventually(word, answered)
        except AssertionError as error:
            raise AssertionError(f"{error} The log:\n{self.server.log}") from None

    def reloads(self) -> int:
        return len(re.findall(r"Reloading \(generation", self.server.log))


@pytest.fixture
def development(server):
    yield Development(server)
    server.clean()
    environment = f"HELIOGRAPH_MASTER={control_socket(server.name)}\0".encode()
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and environment in read(path / "environ"):
            os.kill(int(path.name), signal.SIGKILL)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes() + b"\0"
    except OSError:
        return b""


def test_a_saved_file_is_loaded_and_told_in_one_line(development):
    """Signals that are sent meanwhile are handled, by the old or the new code."""
    development.start()
    development.await_word("first")
    development.write("shop/views.py", "WORD = 'the-second'\n")
    development.await_word("the-second")
    development.server.await_log(r"Reloading \(generation 2\): shop/views.py changed\n")
    sent = int(development.server.row(1)["sent"])
    development.server.await_row(1, sent=sent, done=sent, failed=0, queued=0)
    assert development.server.end() == 0


def test_code_that_does_not_load_is_told_and_mended_by_the_next_save(development):
    """The old code goes on."""
    development.start()
    development.write("shop/views.py", "WORD = 'second'\nNUMBER = (\n")
    development.server.await_log(
        r"heliograph.reloader\[\d+\]: The new code does not load, the old code goes on: "
        r"SyntaxError: '\(' was never closed \(shop/views.py, line 2\)\n"
    )
    development.await_word("first")
    assert not development.server.events("second")
    development.write("shop/views.py", "WORD = 'the-third'\n")
    development.await_word("the-third")
    assert development.server.end() == 0


def test_an_error_at_import_is_told_with_its_place(development):
    """In a file that is new."""
    development.start()
    development.write("shop/deep/broken.py", "import nothing_with_this_name\n")
    development.write("shop/deep/__init__.py", "")
    development.write("shop/views.py", "import shop.deep.broken\nWORD = 'second'\n")
    error = "ModuleNotFoundError: No module named 'nothing_with_this_name' .shop/deep/broken.py, line 1."
    development.server.await_log(f"the old code goes on: {error}")
    development.write("shop/deep/broken.py", "# nothing is imported any more\n")
    development.await_word("second")
    assert development.server.end() == 0


@pytest.mark.skipif(shutil.which("git") is None, reason="not installed: git")
def test_a_checkout_of_many_files_is_one_reload(development):
    """All of them have changed before it begins."""
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]

    def run(*command: str) -> None:
        subprocess.run([*git, *command], cwd=development.directory, check=True, capture_output=True)

    development.write("shop/views.py", "WORD = 'first'\n")
    run("init", "-q", "-b", "main")
    for word in ("first", "on-the-branch"):
        for n in range(300):
            development.write(f"shop/part{n % 10}/module{n}.py", f"WORD = {word!r}\n")
        development.write("shop/views.py", f"WORD = {word!r}\n")
        run("add", "shop")
        run("commit", "-q", "-m", word)
    run("checkout", "-q", "HEAD~1")
    development.start()
    run("checkout", "-q", "main")
    development.await_word("on-the-branch")
    development.server.await_log("Reload complete")
    assert development.reloads() == 1, development.server.log
    development.server.await_log(r"Reloading \(generation 2\): shop/\S+.py changed and \d+ more\n")
    assert development.server.end() == 0


def test_other_files_cause_no_reload(development):
    """Those of tools, and those next to the code. Later a file of the application does."""
    (development.directory / "node_modules").mkdir()
    development.start("--reload-include", "*.html")
    development.write("node_modules/a.py", "x = 1\n")
    development.write("node_modules/new/a.py", "x = 1\n")
    development.write("notes.txt", "x")
    development.write(".cache/b.py", "x = 1\n")
    development.write("page.html", "<p>")
    development.server.await_log(r"Reloading \(generation 2\): page.html changed\n")
    development.server.await_log("Reload complete")
    assert development.reloads() == 1, development.server.log
    assert development.server.end() == 0


def test_another_directory_is_watched(development):
    """Instead of the working directory."""
    (development.directory / "lib").mkdir()
    development.start("--reload-dir", "lib")
    development.write("shop/views.py", "WORD = 'second'\n")
    development.write("lib/more.py", "x = 1\n")
    development.server.await_log(r"Reloading \(generation 2\): lib/more.py changed")
    development.await_word("second")
    assert development.server.end() == 0


def test_a_process_that_watches_is_replaced_when_it_dies(development):
    """It sees the next change. It neither counts as a worker nor stops the server."""
    development.start()
    old = development.server.kill("reloader")
    development.server.await_successor("reloader", old)
    development.server.await_log("Reloading when ", 2)
    development.write("shop/views.py", "WORD = 'second'\n")
    development.await_word("second")
    pid = development.server.pids()["reloader"]
    assert development.server.end() == 0
    eventually("its end", lambda: not read(Path(f"/proc/{pid}/environ")))
