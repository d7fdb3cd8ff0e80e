"""Shared by all tests: the Hypothesis profile, services that may be missing, and groups of parallel tests."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["pytester"]

settings.register_profile("heliograph", deadline=None, max_examples=100, print_blob=True)
settings.load_profile("heliograph")

ROOT = Path(__file__).parent
SLOW = {
    *("test_damage", "test_disk_full", "test_forks", "test_kills", "test_upkeep", "test_gate"),
    *("test_fork_server", "test_fork_servers", "test_master", "test_inline_without_pytest", "test_plugin"),
    *("test_cron_next", "test_other_systems", "test_top_screens", "test_words"),
}
"""Modules of unit tests that are not quick: they start processes, damage files, or read all texts."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of `make quick`. pytest-xdist registers its own, if it is installed."""
    config.addinivalue_line("markers", "quick: run by make quick. Most unit tests and the inline engine have it.")
    config.addinivalue_line("markers", "needs(*names): skip the test if a service is missing. In CI it fails.")
    config.addinivalue_line(
        "markers", "django_suite: run by make test-django only. It downloads two versions of Django."
    )
    config.addinivalue_line("markers", "early: starts first in a parallel run, because it waits for a long time.")
    if not config.pluginmanager.hasplugin("xdist"):
        config.addinivalue_line("markers", "xdist_group(name): run the tests of a group in one process.")


def require(*names: str) -> None:
    """Skip the test if a program or package that it needs is not installed. In CI (`CI=true`) the test fails."""
    for name in names:
        if importlib.util.find_spec(name) is None and not Path(sys.executable).with_name(name).exists():
            report = pytest.fail if os.environ.get("CI") else pytest.skip
            report(f"not installed: {name}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Check the services that the test needs."""
    for marker in item.iter_markers("needs"):
        require(*marker.args)


@pytest.fixture(name="require")
def require_fixture():
    """Return `require`, for tests that find out late which service they need."""
    return require


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put tests that share a server or a module in one group. Start with the tests that wait for a long time."""
    if config.option.markexpr != "django_suite":
        items[:] = [item for item in items if item.get_closest_marker("django_suite") is None]
    for item in items:
        group = _group(item)
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
        is_unit_test = item.path.is_relative_to(ROOT / "unit") and item.path.stem not in SLOW
        if is_unit_test or item.path.name == "test_inline.py":
            item.add_marker(pytest.mark.quick)
    items.sort(key=_is_early, reverse=True)


def _group(item: pytest.Item) -> str | None:
    """Return the group of a test, or None for an end-to-end test or a page. Each has servers of its own."""
    kind, *rest = item.path.relative_to(ROOT).parts
    if kind == "e2e" or item.path.name == "test_pages.py":
        return None
    if kind == "conformance" and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
        mode = item.callspec.params.get("harness", "")
        return f"{item.path.stem}-{mode}"
    return "/".join([kind, *rest])


def _is_early(item: pytest.Item) -> bool:
    group = item.get_closest_marker("xdist_group")
    return item.get_closest_marker("early") is not None or (group is not None and group.args[0].endswith("-plain"))
