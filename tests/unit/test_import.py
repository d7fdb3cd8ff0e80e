"""`import heliograph` loads only the modules that every application needs."""

import subprocess
import sys

import pytest

HEAVY = [
    *("click", "asyncio", "msgspec", "multiprocessing", "pytest", "sqlite3", "ssl"),
    *("heliograph.runtime.tasks", "heliograph.store", "heliograph.tasks"),
    *("heliograph.cli", "heliograph.remote", "heliograph.testing", "heliograph.server.master"),
    *("heliograph.engines.uwsgi", "heliograph.engines.inline", "heliograph.engines.local"),
]
SLOW = ["socket", "json", "tomllib", "logging.config", "logging.handlers"]
"""Modules that take a millisecond or more, and that an import alone does not need."""


def modules_after(program: str) -> set[str]:
    """Return the modules of a new interpreter that ran these statements."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        f"import heliograph, sys\n{program}\nprint(*sys.modules, sep='\\n')",
    ]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """The modules of a new interpreter that imported heliograph and registered a signal."""
    return modules_after("heliograph.Signal(1).register_handler()(lambda: None)")


@pytest.mark.parametrize("module", HEAVY)
def test_import_does_not_load_heavy_modules(imported: set[str], module: str) -> None:
    """Also not after a registration."""
    assert "heliograph.runtime.signals" in imported
    assert not [name for name in imported if name == module or name.startswith(f"{module}.")]


def test_import_does_not_load_slow_modules() -> None:
    """What only some processes need is imported when they need it."""
    assert not modules_after("").intersection(SLOW)


def test_a_task_does_not_load_the_store() -> None:
    """The fork server loads the application, and never opens the store."""
    loaded = modules_after("heliograph.task(name='shop:add')(lambda: None)")
    assert "heliograph.tasks.runner" in loaded
    assert not loaded & {"sqlite3", "asyncio", "heliograph.store.sqlite"}


def test_a_server_does_not_load_what_only_errors_and_other_programs_need() -> None:
    """These modules take three megabytes in the master, and as much in the processes of an application."""
    loaded = modules_after("import heliograph.cli, heliograph.server.master, heliograph.store.sqlite")
    assert "heliograph.store.owner" in loaded
    assert not loaded & {"importlib.metadata", "difflib", "secrets"}
