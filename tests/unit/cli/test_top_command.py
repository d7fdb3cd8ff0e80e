"""`heliograph top` where it cannot run: one line of error."""

from __future__ import annotations

import importlib.util
import os
import pty
import sys

import pytest
from click.testing import CliRunner

from heliograph.cli import main

top_module = sys.modules["heliograph.cli.top"]


@pytest.fixture
def terminal(monkeypatch):
    """Let the command believe that it has a terminal."""
    monkeypatch.setattr(top_module, "_is_terminal", lambda: True)
    monkeypatch.setenv("TERM", "xterm")


def run(*arguments):
    result = CliRunner().invoke(main, ["top", *arguments])
    lines = result.stderr.strip().splitlines()
    return result.exit_code, lines


def test_a_pipe_is_no_terminal():
    code, lines = run()
    assert code == 2
    assert lines == ["Error: heliograph top needs a terminal. Use `heliograph status` in scripts and pipes."]


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
def test_a_terminal_that_cannot_move_its_cursor_is_refused(terminal, monkeypatch, term):
    monkeypatch.setenv("TERM", term)
    code, (line,) = run()
    assert code == 2
    assert f"TERM={term!r}" in line
    assert "heliograph status" in line


def test_without_textual_one_line_tells_how_to_install_it(terminal, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *args: None if name == "textual" else find(name, *args)
    )
    code, lines = run()
    assert code == 2
    assert lines == ["Error: heliograph top needs Textual: pip install 'heliograph[top]'."]


def test_without_a_server_it_does_not_open_the_screen(terminal, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    code, (line,) = run("--name", "nobody")
    assert code == 2
    assert line.startswith("Error: no heliograph server is running with the name 'nobody'.")


@pytest.mark.parametrize("seconds", ["0", "0.5", "-1", "soon"])
def test_looking_costs_the_master_at_most_one_request_a_second(terminal, seconds):
    code, lines = run("--interval", seconds)
    assert code == 2
    assert seconds in lines[-1]


def test_a_pseudo_terminal_is_a_terminal(monkeypatch):
    other, terminal = pty.openpty()
    with os.fdopen(terminal, "r") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        monkeypatch.setattr("sys.stdout", stream)
        assert top_module._is_terminal()
    os.close(other)
