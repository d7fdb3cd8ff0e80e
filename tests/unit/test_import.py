"""`import heliograph` loads only the modules that every application needs."""

import subprocess
import sys

import pytest

HEAVY = [
    *("click", "asyncio", "multiprocessing", "pytest", "ssl"),
    *("heliograph.cli", "heliograph.remote", "heliograph.testing", "heliograph.server.master"),
    *("heliograph.engines.uwsgi", "heliograph.engines.inline", "heliograph.engines.local"),
]


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """The modules of a new interpreter that imported heliograph and registered a signal."""
    program = (
        "import heliograph, sys\nheliograph.Signal(1).register_handler()(lambda: None)\nprint(*sys.modules, sep='\\n')"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("module", HEAVY)
def test_import_does_not_load_heavy_modules(imported: set[str], module: str) -> None:
    """Also not after a registration."""
    assert "heliograph.runtime.signals" in imported
    assert not [name for name in imported if name == module or name.startswith(f"{module}.")]
