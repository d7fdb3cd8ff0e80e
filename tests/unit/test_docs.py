"""The code in README and docs is valid, and the table of guarantees is up to date."""

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
from heliograph.testing.conformance.report import Proof
from heliograph.testing.conformance.requirements import LETTERS
from heliograph.testing.harness.capabilities import HARNESSES, Capability

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md")])
SNIPPET = re.compile(r"^ *```python\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_in(text):
    """Return the lines of code blocks and the code spans."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line.strip() for block in blocks for line in block.splitlines()] + spans


def test_the_pages_are_found():
    assert {"README.md", "guarantees.md"} <= {page.name for page in PAGES}


@pages
def test_python_code_compiles(page):
    """Each snippet by itself."""
    for snippet in SNIPPET.findall(page.read_text()):
        assert compile(textwrap.dedent(snippet), page.name, "exec")


@pages
def test_commands_and_their_options_exist(page):
    """`heliograph NAME --option`. Options after `--` belong to another program."""
    for line in code_in(page.read_text()):
        found = re.match(r"(?:\$ )?heliograph ([a-z]+)\b(.*)", line)
        if found is None:
            continue
        command = main.commands.get(found[1])
        assert command is not None, line
        own = found[2].split(" -- ")[0].split("#")[0]
        if isinstance(command, click.Group) and (words := own.split()):
            command = command.commands.get(words[0], command)
        known = {option for param in command.params for option in param.opts + param.secondary_opts}
        assert set(OPTION.findall(own)) <= known | {"--help"}, line


def test_the_readme_names_every_command():
    text = (ROOT / "README.md").read_text()
    assert isinstance(main, click.Group)
    assert [name for name in main.commands if f"heliograph {name}" not in text] == []


@pages
def test_make_targets_exist(page):
    """`make NAME`."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for line in code_in(page.read_text()) for name in re.findall(r"^(?:\$ )?make ([a-z-]+)", line)}
    assert named <= targets


def test_the_table_of_guarantees_is_up_to_date():
    """To update it: python -m heliograph.testing.conformance.report > docs/guarantees.md."""
    assert (ROOT / "docs/guarantees.md").read_text() == report.page()


def test_the_command_prints_the_table():
    command = [sys.executable, "-m", "heliograph.testing.conformance.report"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == report.page()


def test_the_table_has_every_guarantee_of_the_suite():
    rows = {test.guarantee_id for test in vars(conformance).values() if hasattr(test, "guarantee_id")}
    assert len(rows) > 20
    assert rows == set(re.findall(r"^\| (\w+) \|", report.page(), re.MULTILINE))


def test_every_capability_is_used():
    """By a test and by a harness."""
    tests = [test for test in vars(conformance).values() if hasattr(test, "guarantee_id")]
    needed = frozenset().union(*(test.needs | test.reduced_without for test in tests))
    assert needed == frozenset().union(*HARNESSES.values()) == frozenset(Capability)


def test_short_reasons_are_distinct():
    """None is part of another, because the legend searches the table for them."""
    reasons = [*(capability.value for capability in Capability), *report.SPECIAL_REASONS.values()]
    shorts = [reason.short for reason in reasons]
    assert not [(one, other) for one in shorts for other in shorts if one != other and one in other]
    assert len(set(shorts)) == len(shorts)


def test_every_guarantee_has_a_letter_with_a_meaning():
    numbers = {proof.guarantee for proof in report.proofs(vars(conformance))}
    assert {number[0] for number in numbers if number[1:].isdigit()} == set(LETTERS)
    assert all(f"**{letter}** {subject}" in report.page() for letter, subject in LETTERS.items())


C = Capability


@pytest.mark.parametrize(
    ("needs", "capabilities", "text"),
    [
        ([()], (), "yes"),
        ([(C.SERVER,)], (C.SERVER,), "yes"),
        ([(C.SERVER,)], (), "one process"),
        ([(), (C.SERVER,)], (), "in part: one process"),
        ([(C.LAZY_APPS,)], (C.SERVER,), "nothing to reject"),
        ([(), (C.UWSGI,)], (), "yes"),
        ([(C.UWSGI, C.MULES)], (), "tested on uWSGI only"),
        ([(C.UWSGI, C.MULES)], (C.UWSGI,), "any worker only"),
    ],
)
def test_a_cell_of_the_table(needs, capabilities, text):
    """For a guarantee whose tests have these needs, on an engine with these capabilities."""
    row = [Proof("S99", "", frozenset(need)) for need in needs]
    assert report.cell(row, frozenset(capabilities)) == text


def test_a_cell_of_a_test_that_checks_less():
    """Without a capability that the test does not need."""
    reduced = Proof("S5", "", frozenset(), frozenset({C.MOVABLE_TARGETS}))
    assert report.cell([reduced], frozenset()) == "in part: same target only"
    assert report.cell([reduced], frozenset({C.MOVABLE_TARGETS})) == "yes"


def test_a_cell_with_a_special_reason():
    """A guarantee can have a reason of its own for a capability."""
    assert report.cell([Proof("S11", "", frozenset({C.MULES}))], frozenset()) == "each process registers"
