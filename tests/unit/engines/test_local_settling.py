"""A process of a web server that reloads itself waits until the server has loaded the same code."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.engines.local import settling
from heliograph.engines.local.settling import LOAD_TIMEOUT, SETTLE, await_same_code
from heliograph.ipc.control_client import ServerNotRunning
from heliograph.ipc.inherited import SETTLE_ENV


@pytest.fixture
def wait(monkeypatch):
    """Wait with a server that gives these answers. Return the seconds, and the answers that were not asked for."""

    def wait(answers, *, is_set=True):
        now, left = [100.0], list(answers)

        def sleep(seconds):
            now[0] += seconds

        def request(*_args, **_options):
            answer = left.pop(0) if left else True
            if isinstance(answer, Exception):
                raise answer
            return {"loading": answer}

        monkeypatch.setenv(SETTLE_ENV, "1" if is_set else "")
        monkeypatch.setattr(settling.time, "sleep", sleep)
        monkeypatch.setattr(settling.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(settling, "request", request)
        await_same_code(Path("x.sock"))
        return now[0] - 100.0, left

    return wait


def test_other_processes_do_not_wait(wait):
    """They do not even ask."""
    assert wait([True], is_set=False) == (0.0, [True])


def test_it_waits_for_the_server_to_notice_and_to_load(wait):
    """The web server may have noticed the change before."""
    assert wait([False]) == (SETTLE, [])
    seconds, left = wait([True, True, False])
    assert (seconds > SETTLE, left) == (True, [])


def test_it_does_not_wait_for_ever(wait):
    """Nor for a server that does not answer."""
    seconds, _ = wait([])
    assert seconds == pytest.approx(SETTLE + LOAD_TIMEOUT, abs=1.0)
    assert wait([ServerNotRunning("no server"), True]) == (SETTLE, [True])
