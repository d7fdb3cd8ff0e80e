"""The selection of an engine."""

import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from heliograph import engines
from heliograph.engines.detached import DetachedEngine
from heliograph.engines.inline import InlineEngine
from heliograph.exceptions import ConfigError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Start without environment variables, without uWSGI and without an engine."""
    monkeypatch.delenv(engines.ENGINE_ENV, raising=False)
    monkeypatch.delitem(sys.modules, "uwsgi", raising=False)
    with engines.using(None):
        yield


def test_default_is_detached() -> None:
    """Without a server the engine is `detached`, whose `send()` raises an exception."""
    assert isinstance(engines.choose(), DetachedEngine)


@pytest.mark.parametrize(("name", "kind"), [("inline", InlineEngine), ("detached", DetachedEngine)])
def test_variable_names_the_engine(monkeypatch: pytest.MonkeyPatch, name: str, kind: type) -> None:
    """`HELIOGRAPH_ENGINE` has priority, and each call creates a new engine."""
    monkeypatch.setenv("HELIOGRAPH_ENGINE", name)
    assert isinstance(engines.choose(), kind)
    assert engines.choose() is not engines.choose()
    assert engines.choose().name == name


def test_empty_variable_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """`HELIOGRAPH_ENGINE=` selects no engine."""
    monkeypatch.setenv("HELIOGRAPH_ENGINE", "")
    assert engines.choose().name == "detached"


@pytest.mark.parametrize("name", ["bogus", "Inline", "inline "])
def test_unknown_name_lists_the_engines(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A misspelt name is an error each time, since the application would otherwise run without signals."""
    monkeypatch.setenv("HELIOGRAPH_ENGINE", name)
    for ask in (engines.choose, engines.current):
        with pytest.raises(ConfigError) as caught:
            ask()
        assert f"unknown engine: HELIOGRAPH_ENGINE={name!r}. Use one of" in str(caught.value)
        assert all(known in str(caught.value) for known in ("detached", "inline", "local", "uwsgi"))
    monkeypatch.setenv("HELIOGRAPH_ENGINE", "inline")
    assert engines.current().name == "inline"


def test_uwsgi_engine_needs_uwsgi(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to start the server."""
    monkeypatch.setenv("HELIOGRAPH_ENGINE", "uwsgi")
    with pytest.raises(
        ConfigError, match=r"HELIOGRAPH_ENGINE=uwsgi. Start the process with `heliograph run APP --engine uwsgi`"
    ):
        engines.choose()


def test_stub_module_is_not_uwsgi(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stub module with the name `uwsgi` does not select the engine."""
    monkeypatch.setitem(sys.modules, "uwsgi", ModuleType("uwsgi"))
    assert engines.choose().name == "detached"


def test_engine_is_selected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At first use. Later changes of the variable have no effect."""
    chosen = engines.current()
    monkeypatch.setenv("HELIOGRAPH_ENGINE", "inline")
    assert engines.current() is chosen


def test_using_can_be_nested() -> None:
    """`using` restores the earlier engine, also after an exception, and needs no engine before."""
    outer, inner = InlineEngine(), InlineEngine()
    with engines.using(outer):
        with pytest.raises(LookupError), engines.using(inner):  # noqa: PT012 - how the block ends is what is tested
            assert engines.current() is inner
            raise LookupError
        assert engines.current() is outer
    assert isinstance(engines.current(), DetachedEngine)


def test_threads_get_the_same_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that ask at the same time get the same engine, however long the selection takes."""
    chosen: list[DetachedEngine] = []
    both = threading.Barrier(2)

    def slowly() -> DetachedEngine:
        chosen.append(DetachedEngine())
        time.sleep(0.01)  # gives the other thread time to ask
        return chosen[-1]

    def ask() -> object:
        both.wait(10)
        return engines.current()

    monkeypatch.setattr(engines, "choose", slowly)
    with ThreadPoolExecutor(2) as pool:
        found = {pool.submit(ask), pool.submit(ask)}
    assert {future.result() for future in found} == {chosen[0]}
    assert len(chosen) == 1


def test_thread_started_by_the_engine_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread gets the engine that started it, even before the selection has finished."""
    found: list[object] = []
    asked = threading.Thread(target=lambda: found.append(engines.current()))
    made = DetachedEngine()

    def start() -> DetachedEngine:
        asked.start()
        asked.join(0.05)  # the thread waits, unless it has created its own engine
        return made

    monkeypatch.setattr(engines, "choose", start)
    assert engines.current() is made
    asked.join(10)
    assert found == [made]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_fork_can_select_while_its_parent_selects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The selecting thread of the parent does not exist in the child."""
    asked, done = threading.Event(), threading.Event()

    def slowly() -> DetachedEngine:
        asked.set()
        done.wait(10)
        return DetachedEngine()

    monkeypatch.setattr(engines, "choose", slowly)
    chooser = threading.Thread(target=engines.current)
    chooser.start()
    asked.wait(10)
    child = os.fork()
    if not child:
        signal.alarm(10)
        monkeypatch.setattr(engines, "choose", DetachedEngine)
        os._exit(0 if isinstance(engines.current(), DetachedEngine) else 1)
    done.set()
    chooser.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
