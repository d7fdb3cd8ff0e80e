"""The middleware for WSGI servers that heliograph does not detect."""

import os
import threading

import pytest

from heliograph import engines
from heliograph.contrib.wsgi import Middleware
from heliograph.engines.detached import DetachedEngine


def application(environ, start_response):
    return [environ, start_response]


def test_requests_and_answers_pass_unchanged(engine):
    """The same objects, in and out."""
    environ, answer = {}, [b"hello"]
    seen = []
    app = Middleware(lambda *args: seen.append(args) or answer)
    assert app(environ, application) is answer
    assert seen[0][0] is environ
    assert seen[0][1] is application


def test_process_joins_once_at_its_first_request(engine):
    app = Middleware(application)
    assert engine.seen == []
    for _ in range(3):
        app({}, None)
    assert engine.seen == [("join", None, "at a request")]


def test_process_joins_before_it_handles_the_request(engine):
    """The request may rely on it."""
    seen = []
    Middleware(lambda *_: seen.extend(engine.seen) or [])({}, None)
    assert seen == [("join", None, "at a request")]


def test_fork_joins_again(engine, monkeypatch):
    """However many requests its parent has handled."""
    app = Middleware(application)
    app({}, None)
    monkeypatch.setattr(os, "getpid", lambda: 4711)
    app({}, None)
    app({}, None)
    assert len(engine.seen) == 2


def test_concurrent_first_requests_join(engine):
    """Each request is handled after the process has joined."""
    early = []
    app = Middleware(lambda *_: early.append(not engine.seen) or [])
    threads = [threading.Thread(target=app, args=({}, None)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert early == [False] * 8


def test_middleware_does_nothing_without_a_server():
    with engines.using(DetachedEngine()):
        assert Middleware(application)({}, None) == [{}, None]


def test_failed_join_is_tried_again(engine, monkeypatch):
    """The request fails, and the next one may join."""
    app = Middleware(application)
    with monkeypatch.context() as broken:
        broken.setattr(engine, "join", lambda *_, **_options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            app({}, None)
    app({}, None)
    assert engine.seen == [("join", None, "at a request")]
