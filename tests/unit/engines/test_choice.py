"""Which engine a process runs on."""

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
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """No environment variable, no uWSGI, nothing chosen yet."""
    monkeypatch.delenv(engines.ENGINE_ENV, raising=False)
    monkeypatch.delitem(sys.modules, "uwsgi", raising=False)
    with engines.using(None):
        yield


def test_without_a_server_there_is_none() -> None:
    """Detached, which sends nothing and says so; never a silent stub."""
    assert isinstance(engines.choose(), DetachedEngine)


@pytest.mark.parametrize(("name", "kind"), [("inline", InlineEngine), ("detached", DetachedEngine)])
def test_the_environment_names_it(monkeypatch: pytest.MonkeyPatch, name: str, kind: type) -> None:
    """`HELIOGRAPH_ENGINE` goes before all else; a new one each time."""
    monkeypatch.setenv("HELIOGRAPH_ENGINE", name)
    assert isinstance(engines.choose(), kind)
    assert engines.choose() is not engines.choose()
    assert engines.choose().name == name


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """`HELIOGRAPH_ENGINE=` says nothing."""
    monkeypatch.setenv("HELIOGRAPH_ENGINE", "")
    assert engines.choose().name == "detached"


@pytest.mark.parametrize("name", ["bogus", "Inline", "inline "])
def test_an_unknown_name_is_an_error_that_lists_them(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A typing mistake does not run an application without its signals; asking again asks again."""
    monkeypatch.setenv("HELIOGRAPH_ENGINE", name)
    for ask in (engines.choose, engines.current):
        with pytest.raises(ConfigError) as caught:
            ask()
        assert f"HELIOGRAPH_ENGINE={name!r} is not an engine" in str(caught.value)
        assert all(known in str(caught.value) for known in ("detached", "inline", "local", "uwsgi"))
    monkeypatch.setenv("HELIOGRAPH_ENGINE", "inline")
    assert engines.current().name == "inline"


def test_uwsgi_needs_uwsgi(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for where there is none: the error says how to start one."""
    monkeypatch.setenv("HELIOGRAPH_ENGINE", "uwsgi")
    with pytest.raises(ConfigError, match="not a uWSGI server; start it with heliograph run"):
        engines.choose()


def test_a_module_of_that_name_is_not_uwsgi(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's stub called `uwsgi` does not deliver signals."""
    monkeypatch.setitem(sys.modules, "uwsgi", ModuleType("uwsgi"))
    assert engines.choose().name == "detached"


def test_it_is_chosen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At first use; a variable that changes later changes nothing."""
    chosen = engines.current()
    monkeypatch.setenv("HELIOGRAPH_ENGINE", "inline")
    assert engines.current() is chosen


def test_another_can_be_used_for_a_while() -> None:
    """Nested, and after an exception; before that nothing needs to have been chosen."""
    outer, inner = InlineEngine(), InlineEngine()
    with engines.using(outer):
        with pytest.raises(LookupError), engines.using(inner):  # noqa: PT012 - how the block ends is what is tested
            assert engines.current() is inner
            raise LookupError
        assert engines.current() is outer
    assert isinstance(engines.current(), DetachedEngine)


def test_threads_that_ask_at_once_get_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the choice takes."""
    chosen: list[DetachedEngine] = []
    both = threading.Barrier(2)

    def slowly() -> DetachedEngine:
        chosen.append(DetachedEngine())
        time.sleep(0.01)  # time enough for the other to come in, if it could
        return chosen[-1]

    def ask() -> object:
        both.wait(10)
        return engines.current()

    monkeypatch.setattr(engines, "choose", slowly)
    with ThreadPoolExecutor(2) as pool:
        found = {pool.submit(ask), pool.submit(ask)}
    assert {future.result() for future in found} == {chosen[0]}
    assert len(chosen) == 1


def test_a_thread_that_the_engine_starts_gets_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before its start is over."""
    found: list[object] = []
    asked = threading.Thread(target=lambda: found.append(engines.current()))
    made = DetachedEngine()

    def start() -> DetachedEngine:
        asked.start()
        asked.join(0.05)  # it has to wait; with an engine of its own it would not
        return made

    monkeypatch.setattr(engines, "choose", start)
    assert engines.current() is made
    asked.join(10)
    assert found == [made]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_fork_may_choose_whatever_its_parent_was_doing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if a thread of the parent was choosing at that moment; that one is not in the child."""
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
