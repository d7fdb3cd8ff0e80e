"""The pytest plugin: the fixture `heliograph_engine` runs a whole server in the process of the test.

A test with the fixture runs on a new `InlineEngine`. The fixture registers the handlers that the application
registered when it was imported. It removes the registrations of the test afterwards. If a handler raised an exception,
the test fails at its end, unless the test took it with `heliograph_engine.take_failures()`. The same is true of tasks,
unless the test took them with `take_failed_tasks()`, or read their `TaskResult`::

    def test_refresh(heliograph_engine):
        with heliograph_engine.as_process("worker2"):
            shop.refresh.send()
        assert [run.by.role for run in heliograph_engine.handled] == ["mule"]

The server has two workers, two mules in the farm `crunchers`, and a spooler. To change it for a test, class or
module, use the marker `@pytest.mark.heliograph(workers=4, mules=1, farms={"crunchers": [1]}, spoolers=1)`. To change it
for many tests, override the fixture `heliograph_topology`. The marker has priority.

The plugin imports heliograph only when a test uses it, because pytest loads plugins before coverage starts.
"""

from __future__ import annotations

import textwrap
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from heliograph.engines.inline import Handled, InlineEngine
    from heliograph.engines.inline.enqueued import Enqueued
    from heliograph.models import Topology

_MARKER = "heliograph(workers=1, mules=0, farms={}, spoolers=0): the topology of heliograph_engine"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def heliograph_topology() -> Topology:
    """The topology of `heliograph_engine`. To change it, override this fixture."""
    from heliograph.engines.inline import DEFAULT_TOPOLOGY

    return DEFAULT_TOPOLOGY


@pytest.fixture
def heliograph_engine(
    request: pytest.FixtureRequest, heliograph_topology: Topology
) -> Generator[InlineEngine, None, None]:
    """A server in this process, with a fake clock. It is the engine of this process during the test."""
    from heliograph.testing.inline import inline_engine

    node = cast("pytest.Item", request.node)  # pyright: ignore[reportUnknownMemberType]
    marker = node.get_closest_marker("heliograph")
    with inline_engine(heliograph_topology if marker is None else _topology(*marker.args, **marker.kwargs)) as engine:
        yield engine
    _check(engine.take_failures(), engine.take_failed_tasks())


def _topology(
    *, workers: int = 1, mules: int = 0, farms: Mapping[str, Sequence[int]] | None = None, spoolers: int = 0
) -> Topology:
    """Return the topology of the marker's arguments."""
    from heliograph.models import FarmSpec, Topology

    specs = tuple(FarmSpec(name, tuple(numbers)) for name, numbers in (farms or {}).items())
    return Topology(workers, mules, specs, spoolers)


def _check(failures: tuple[Handled, ...], tasks: tuple[Enqueued, ...]) -> None:
    try:
        _check_handlers(failures)
    finally:
        _check_tasks(tasks)


def _check_tasks(failed: tuple[Enqueued, ...]) -> None:
    if not failed:
        return
    lines = "\n".join(
        f"  {task.name}, task {task.id}, {task.status.value} after attempt {task.attempts}:\n"
        f"{textwrap.indent(task.error.rstrip(), '    ')}"
        for task in failed
    )
    raise AssertionError(
        f"Tasks failed:\n{lines}\nIf the test expects them, read their results (wait, refresh), or call "
        "heliograph_engine.take_failed_tasks()."
    )


def _check_handlers(failures: tuple[Handled, ...]) -> None:
    if not failures:
        return
    raised: list[Any] = [failed.failure for failed in failures]
    lines = "\n".join(f"  signal {f.num} in {f.by}: {type(f.failure).__name__}: {f.failure}" for f in failures)
    cause = raised[0] if len(raised) == 1 else BaseExceptionGroup("handlers failed", raised)
    raise AssertionError(
        f"Handlers raised exceptions:\n{lines}\nIf the test expects them, call heliograph_engine.take_failures()."
    ) from cause
