"""The platform object: facts about this process, and post-fork hooks."""

import logging
import socket

import pytest

from heliograph import engines, uwsgi
from heliograph.engines.detached import DetachedEngine
from heliograph.engines.inline import InlineEngine


@pytest.mark.heliograph(workers=3, mules=2)
def test_worker_id_and_counts(heliograph_engine: InlineEngine) -> None:
    """Workers have a number, other processes 0. All know the counts."""
    ids: list[int] = []
    for process in ("worker1", "worker3", "mule2", "master"):
        with heliograph_engine.as_process(process):
            ids.append(uwsgi.worker_id)
    assert ids == [1, 3, 0, 0]
    assert (uwsgi.workers_count, uwsgi.mules_count) == (3, 2)
    assert [worker["id"] for worker in uwsgi.workers_info] == [1, 2, 3]
    assert all("pid" in worker for worker in uwsgi.workers_info)


def test_facts_without_a_server() -> None:
    """Zeros and empty values, and no exception."""
    with engines.using(DetachedEngine()):
        assert (uwsgi.worker_id, uwsgi.workers_count, uwsgi.mules_count, uwsgi.master_pid) == (0, 0, 0, 0)
        assert (uwsgi.workers_info, dict(uwsgi.config), uwsgi.get_version()) == ((), {}, "")


def test_hostname() -> None:
    """As the operating system reports it."""
    assert uwsgi.hostname == socket.gethostname()


@pytest.mark.parametrize(
    ("version", "parts"), [("2.0.30", (2, 0, 30)), ("2.1-dev", (2, "1-dev")), ("inline", ("inline",))]
)
def test_version_as_text_and_as_tuple(version: str, parts: tuple[int | str, ...]) -> None:
    """Numeric parts are numbers."""

    class Versioned(InlineEngine):
        def version(self) -> str:
            return version

    with engines.using(Versioned()):
        assert uwsgi.get_version() == version
        assert uwsgi.get_version(as_tuple=True) == parts


class ForkingEngine(InlineEngine):
    """Keeps the hooks until the test forks."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks = []

    def on_fork(self, hook) -> None:
        self.hooks.append(hook)

    def fork(self) -> None:
        for hook in self.hooks:
            hook()


def test_hooks_run_in_order_despite_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the name of the hook, the process and the traceback."""
    engine = ForkingEngine()
    ran: list[str] = []
    with engines.using(engine):

        @uwsgi.postfork_hooks.add()
        def first() -> None:
            ran.append("first")

        @uwsgi.postfork_hooks.add()
        def broken() -> None:
            raise LookupError("no database")

        uwsgi.postfork_hooks.add()(lambda: ran.append("last"))
        assert ran == []
        with engine.as_process("mule1"), caplog.at_level(logging.ERROR, "heliograph.hooks"):
            engine.fork()
    assert ran == ["first", "last"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    for fact in ("broken", "mule1", "LookupError: no database"):
        assert fact in caplog.text
    assert first.__name__ == "first"


def test_decorator_returns_the_hook_unchanged(heliograph_engine: InlineEngine) -> None:
    """You can call the function as before."""

    def hook() -> None:
        ran.append(str(heliograph_engine.identity))

    ran: list[str] = []
    assert uwsgi.postfork_hooks.add()(hook) is hook
    assert ran == ["worker1", "worker2", "mule1", "mule2", "spooler1"]
