"""Joining and leaving where there is no server to join."""

import pytest

from heliograph import engines, join_server, leave_server
from heliograph.engines.detached import DetachedEngine
from heliograph.engines.inline import InlineEngine


@pytest.mark.parametrize("engine", [DetachedEngine, InlineEngine])
def test_without_a_server_nothing_happens(engine):
    """Nobody joins, and leaving is no error."""
    with engines.using(engine()):
        before = engines.current().identity
        assert join_server() is False
        leave_server()
        assert engines.current().identity == before


def test_the_engine_is_asked_which_it_is_then(monkeypatch):
    """Both are told to the engine of this process, with the loop."""
    seen = []
    engine = DetachedEngine()
    monkeypatch.setattr(engine, "join", lambda loop: seen.append(loop) or True)
    monkeypatch.setattr(engine, "leave", lambda: seen.append("leave"))
    loop = object()
    with engines.using(engine):
        assert join_server(loop) is True
        leave_server()
    assert seen == [loop, "leave"]
