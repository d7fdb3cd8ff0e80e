"""pytest plugin: the fixture `heliograph_engine`, a whole server played by the test's own process.

How it works
    A test that asks for the fixture runs on a fresh `InlineEngine`. What the application registered at module level,
    while there was no engine, is registered with it; what the test registers is forgotten afterwards. A handler that
    raised fails the test at its end, unless the test took the failure with `engine.take_failures()`.

        def test_refresh(heliograph_engine):
            with heliograph_engine.playing("worker2"):
                shop.refresh.send()
            assert [run.by.role for run in heliograph_engine.handled] == ["mule"]

    The server has two workers, two mules in the farm `crunchers`, and a spooler. Another one is had by the marker
    `@pytest.mark.heliograph(workers=4, mules=1, farms={"crunchers": [1]}, spoolers=1)` for a test, class or module,
    or by a fixture `heliograph_topology` of one's own for many; the marker goes before the fixture.

Nothing of heliograph is imported here before a test asks for it: pytest loads plugins before coverage starts.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from heliograph.engines.inline import Handled, InlineEngine
    from heliograph.models import Topology

_MARKER = "heliograph(workers=1, mules=0, farms={}, spoolers=0): the server that heliograph_engine plays"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known to `--strict-markers`."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def heliograph_topology() -> Topology:
    """The processes of the server that `heliograph_engine` plays; override it to have others."""
    from heliograph.engines.inline import DEFAULT_TOPOLOGY

    return DEFAULT_TOPOLOGY


@pytest.fixture
def heliograph_engine(
    request: pytest.FixtureRequest, heliograph_topology: Topology
) -> Generator[InlineEngine, None, None]:
    """A server in this process, at once, on a fake clock; it is this process's engine during the test."""
    from heliograph import engines
    from heliograph.engines.inline import InlineEngine

    node = cast("pytest.Item", request.node)  # pyright: ignore[reportUnknownMemberType]
    marker = node.get_closest_marker("heliograph")
    engine = InlineEngine(heliograph_topology if marker is None else _topology(*marker.args, **marker.kwargs))
    with _restored_registries(), engines.using(engine):
        _register_application(engine)
        yield engine
    _check(engine.take_failures())


def _topology(
    *, workers: int = 1, mules: int = 0, farms: Mapping[str, Sequence[int]] | None = None, spoolers: int = 0
) -> Topology:
    """The marker's arguments; what is left out the server does not have, but for one worker."""
    from heliograph.models import FarmSpec, Topology

    specs = tuple(FarmSpec(name, tuple(numbers)) for name, numbers in (farms or {}).items())
    return Topology(workers, mules, specs, spoolers)


@contextmanager
def _restored_registries() -> Generator[None, None, None]:
    """Put back what this process knew of its signals; the tables stay the same objects.

    `async def` handlers get an event loop that ends with the test, and with it what they left there.
    """
    from heliograph.runtime import signals
    from heliograph.runtime.async_handlers import THREAD
    from heliograph.runtime.triggers import TRIGGERS

    claimed, state = signals.REGISTRY.claimed, signals._STATE  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    calls, options = signals._HANDLERS, signals._OPTIONS  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    tables: list[dict[Any, Any]] = [signals.REGISTRY.registered, signals.REGISTRY.names, calls, options, TRIGGERS]
    copies = [dict(known) for known in tables]
    claims, thread = set(claimed), (state.waited, state.handling, THREAD.runner)
    THREAD.runner = None
    try:
        yield
    finally:
        for known, before in zip(tables, copies, strict=True):
            known.clear()
            known.update(before)
        claimed.intersection_update(claims)
        claimed.update(claims)
        if THREAD.runner is not None:  # pyright: ignore[reportUnnecessaryComparison] - a handler may have made one
            THREAD.runner.close()
        state.waited, state.handling, THREAD.runner = thread


def _register_application(engine: InlineEngine) -> None:
    from heliograph.exceptions import TargetError
    from heliograph.runtime import signals
    from heliograph.runtime.triggers import add_all_triggers

    try:
        signals.register_all(engine)
        add_all_triggers(engine)
    except TargetError as error:
        error.add_note(
            "The application registered this target when it was imported. Let the test have a server like the "
            "application's, by @pytest.mark.heliograph(workers=..., mules=...) or a heliograph_topology fixture"
        )
        raise


def _check(failures: tuple[Handled, ...]) -> None:
    if not failures:
        return
    raised: list[Any] = [failed.failure for failed in failures]
    told = "\n".join(f"  signal {f.num} in {f.by}: {type(f.failure).__name__}: {f.failure}" for f in failures)
    cause = raised[0] if len(raised) == 1 else BaseExceptionGroup("handlers failed", raised)
    raise AssertionError(
        f"a handler failed, and the test did not look:\n{told}\n"
        "A test that expects it takes it with heliograph_engine.take_failures()"
    ) from cause
