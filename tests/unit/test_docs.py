"""Code in README and docs: snippets compile, commands and make targets exist, the table of guarantees is up to date."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import pytest

from heliograph.cli import main
from heliograph.testing import conformance
from heliograph.testing.conformance import report
from heliograph.testing.conformance.report import LIMITATIONS, PARTIAL, Guarantee
from heliograph.testing.harness.harness import FEATURES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md")])
SNIPPET = re.compile(r"^ *```python\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_in(text):
    """What stands in code: blocks and spans, a line each."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line.strip() for block in blocks for line in block.splitlines()] + spans


def test_there_are_pages():
    assert {"README.md", "guarantees.md"} <= {page.name for page in PAGES}


@pages
def test_python_in_it_compiles(page):
    """Every snippet, alone."""
    for snippet in SNIPPET.findall(page.read_text()):
        assert compile(textwrap.dedent(snippet), page.name, "exec")


@pages
def test_commands_in_it_exist_with_their_options(page):
    """`heliograph NAME --option`; what follows two dashes is the server's own."""
    for line in code_in(page.read_text()):
        found = re.match(r"(?:\$ )?heliograph ([a-z]+)\b(.*)", line)
        if found is None:
            continue
        command = main.commands.get(found[1])
        assert command is not None, line
        known = {option for param in command.params for option in param.opts + param.secondary_opts}
        own = found[2].split(" -- ")[0].split("#")[0]
        assert set(OPTION.findall(own)) <= known | {"--help"}, line


def test_the_readme_names_every_command():
    text = (ROOT / "README.md").read_text()
    assert isinstance(main, click.Group)
    assert [name for name in main.commands if f"heliograph {name}" not in text] == []


@pages
def test_make_targets_in_it_exist(page):
    """`make NAME`."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for line in code_in(page.read_text()) for name in re.findall(r"^(?:\$ )?make ([a-z-]+)", line)}
    assert named <= targets


def test_the_table_of_promises_is_up_to_date():
    """Else: python -m heliograph.testing.conformance.report > docs/guarantees.md."""
    assert (ROOT / "docs/guarantees.md").read_text() == report.page()


def test_the_table_is_what_the_command_prints():
    command = [sys.executable, "-m", "heliograph.testing.conformance.report"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == report.page()


def test_the_table_names_every_row_of_the_suite():
    rows = {test.row for test in vars(conformance).values() if hasattr(test, "row")}
    assert len(rows) > 20
    assert rows == set(re.findall(r"^\| (\w+) \|", report.page(), re.MULTILINE))


def test_every_feature_that_the_suite_asks_for_has_a_reason():
    needs = {need for test in vars(conformance).values() for need in getattr(test, "needs", ())}
    assert needs | {feature for features in PARTIAL.values() for feature in features} <= set(LIMITATIONS)
    assert {feature for features in FEATURES.values() for feature in features} <= set(LIMITATIONS)


def test_reasons_in_few_words_are_told_apart():
    shorts = [reason.short for reason in LIMITATIONS.values()]
    assert not [(one, other) for one in shorts for other in shorts if one != other and one in other]
    assert len(set(shorts)) == len(shorts)


@pytest.mark.parametrize(
    ("needs", "features", "said"),
    [
        ([()], (), "yes"),
        ([("server",)], ("server",), "yes"),
        ([("server",)], (), "one process"),
        ([(), ("server",)], (), "in part: one process"),
        ([("lazy",)], ("server",), "nothing to refuse"),
        ([(), ("uwsgi",)], (), "yes"),
        ([("uwsgi", "mules")], (), "tried on uWSGI only"),
        ([("uwsgi", "mules")], ("uwsgi",), "workers' pool only"),
    ],
)
def test_a_cell(needs, features, said):
    """A row of tests with these needs, for a stage with these features."""
    row = [Guarantee("S99", frozenset(need), "") for need in needs]
    assert report.cell(row, frozenset(features)) == said


def test_a_cell_of_a_row_whose_tests_look_for_themselves():
    """And a row that is a case of its own."""
    assert report.cell([Guarantee("S5", frozenset(), "")], frozenset()) == "in part: same target only"
    assert report.cell([Guarantee("S11", frozenset({"mules"}), "")], frozenset()) == "each for itself"
