"""Joining and leaving a server."""

import pytest

from heliograph import engines, join_server, leave_server
from heliograph.engines.detached import DetachedEngine
from heliograph.engines.inline import InlineEngine


@pytest.mark.parametrize("engine", [DetachedEngine, InlineEngine])
def test_join_and_leave_without_a_server(engine):
    """Both do nothing."""
    with engines.using(engine()):
        before = engines.current().identity
        assert join_server() is False
        leave_server()
        assert engines.current().identity == before


def test_engine_gets_the_call(monkeypatch):
    """Both calls go to the engine of this process, with the loop."""
    seen = []
    engine = DetachedEngine()
    monkeypatch.setattr(engine, "join", lambda loop: seen.append(loop) or True)
    monkeypatch.setattr(engine, "leave", lambda: seen.append("leave"))
    loop = object()
    with engines.using(engine):
        assert join_server(loop) is True
        leave_server()
    assert seen == [loop, "leave"]
