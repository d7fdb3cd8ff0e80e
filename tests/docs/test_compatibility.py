"""The page of versions is up to date, and agrees with what the tests install."""

import importlib.metadata
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = runpy.run_path(str(ROOT / "docs/compatibility.py"))
PACKAGED = [software for software in DATA["SOFTWARE"] if software.package]


def numbers(version):
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def test_the_page_is_up_to_date():
    """If this fails, run `make reference`."""
    assert f"\n\n{DATA['tables']()}\n\n{DATA['END']}" in DATA["PAGE"].read_text()


@pytest.mark.parametrize("software", PACKAGED, ids=lambda software: software.name)
def test_the_oldest_version_is_not_newer_than_the_newest_one(software):
    assert numbers(DATA["oldest"](software)) <= numbers(DATA["newest"](software))


@pytest.mark.parametrize("software", PACKAGED, ids=lambda software: software.name)
def test_the_installed_version_is_not_older_than_the_oldest_one(software):
    try:
        installed = importlib.metadata.version(software.package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"not installed: {software.package}")
    assert numbers(DATA["oldest"](software)) <= numbers(installed)


def test_the_pythons_are_those_that_ci_runs():
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    matrix = re.search(r"python: \[(.*)\]", workflow)
    assert matrix is not None
    assert DATA["pythons"]() == re.findall(r"3\.\d+", matrix[1])
