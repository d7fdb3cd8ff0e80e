"""A place to run commands in, without a server of the user."""

import pytest


@pytest.fixture
def private_place(monkeypatch, tmp_path):
    """An empty working directory, with directories of its own for sockets and state."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    return tmp_path
