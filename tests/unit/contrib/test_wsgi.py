"""The middleware for WSGI servers that are not known."""

import os
import threading

import pytest

from heliograph import engines
from heliograph.contrib.wsgi import Middleware
from heliograph.engines.detached import DetachedEngine


def application(environ, start_response):
    return [environ, start_response]


def test_everything_passes_through(engine):
    """The very objects, in and out."""
    environ, answer = {}, [b"hello"]
    seen = []
    app = Middleware(lambda *args: seen.append(args) or answer)
    assert app(environ, application) is answer
    assert seen[0][0] is environ
    assert seen[0][1] is application


def test_a_process_joins_at_its_first_request_and_not_again(engine):
    app = Middleware(application)
    assert engine.seen == []
    for _ in range(3):
        app({}, None)
    assert engine.seen == [("join", None)]


def test_a_process_has_joined_before_its_first_request_is_handled(engine):
    """So that the request may rely on it."""
    seen = []
    Middleware(lambda *_: seen.extend(engine.seen) or [])({}, None)
    assert seen == [("join", None)]


def test_a_fork_joins_for_itself(engine, monkeypatch):
    """However much its parent has served."""
    app = Middleware(application)
    app({}, None)
    monkeypatch.setattr(os, "getpid", lambda: 4711)
    app({}, None)
    app({}, None)
    assert len(engine.seen) == 2


def test_threads_may_come_at_once(engine):
    """Each is served after the process has joined."""
    early = []
    app = Middleware(lambda *_: early.append(not engine.seen) or [])
    threads = [threading.Thread(target=app, args=({}, None)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert early == [False] * 8


def test_without_a_server_of_ours_nothing_happens():
    with engines.using(DetachedEngine()):
        assert Middleware(application)({}, None) == [{}, None]


def test_a_join_that_fails_is_tried_again(engine, monkeypatch):
    """The request fails as it would; the next one may join."""
    app = Middleware(application)
    with monkeypatch.context() as broken:
        broken.setattr(engine, "join", lambda _loop: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            app({}, None)
    app({}, None)
    assert engine.seen == [("join", None)]
