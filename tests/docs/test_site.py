"""The site of the documentation builds without a warning, and has every public name."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import heliograph

ROOT = Path(__file__).parents[2]
MODULES = [
    *("heliograph.runtime.signals", "heliograph.runtime.scheduling", "heliograph.runtime.monitoring"),
    *(
        "heliograph.runtime.tasks",
        "heliograph.runtime.spooler",
        "heliograph.runtime.hooks",
        "heliograph.server",
        "heliograph.testing",
    ),
]
"""Modules whose public names are those of their `__all__`."""
PRIVATE = {"RUNNER", "spooler_task_types", "NextRun"}
"""Names in `__all__` for other layers of the package."""

pytestmark = pytest.mark.needs("sphinx", "furo", "myst_parser")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site with warnings as errors."""
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "docs", str(directory)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert built.returncode == 0, built.stderr
    return directory


@pytest.fixture(scope="module")
def names(site):
    """The Python names in the site."""
    from sphinx.util.inventory import InventoryFile

    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data
    return {name for kind, found in inventory.items() if kind.startswith("py:") for name in found}


def test_each_public_name_is_in_the_site(names):
    public = {
        f"{module}.{name}" for module in MODULES for name in set(importlib.import_module(module).__all__) - PRIVATE
    }
    assert public - names == set()


def test_the_names_of_the_package_are_listed_with_links(site):
    page = (site / "reference/python/names.html").read_text()
    assert [name for name in heliograph.__all__ if f">{name}</span></code> is <a " not in page] == []


def test_signatures_show_types(site):
    page = (site / "reference/python/signals.html").read_text()
    assert 'class="pre">remote</span></span><span class="p"><span class="pre">:</span></span>' in page


def test_each_page_is_in_the_site(site):
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]
    assert [str(page) for page in pages if not (site / page.with_suffix(".html")).is_file()] == []


def test_links_that_leave_the_site_lead_to_the_repository(site):
    page = (site / "README.html").read_text()
    repository = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    assert f'href="{repository}/blob/main/CONTRIBUTING.md"' in page
    assert 'href="../' not in page
