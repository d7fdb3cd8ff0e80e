"""The table of guarantees: `python -m heliograph.testing.conformance.report > docs/guarantees.md`.

Rules
    The names and docstrings of the tests are the text of a guarantee.
    An engine gives a guarantee if it has all capabilities that the tests need. A test for one engine or mode only
    (`Capability.is_mode`) says nothing about the other engines.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.testing import conformance
from heliograph.testing.conformance.requirements import LETTERS
from heliograph.testing.harness.capabilities import HARNESSES, Capability, Limitation

SPECIAL_REASONS: dict[tuple[str, Capability], Limitation] = {
    ("S11", Capability.MULES): Limitation(
        "each process registers",
        "With `--lazy-apps` each uWSGI worker loads the application, so each registers the handlers itself.",
    ),
}
"""Reasons for one guarantee that differ from the capability's own."""

_HEAD = """\
# Guarantees of each engine

This page is generated from the conformance suite (`heliograph.testing.conformance`):

    python -m heliograph.testing.conformance.report > docs/guarantees.md

Every "yes" is backed by tests that run on that engine, including real uWSGI. If an engine gives a guarantee in part or
not at all, the table gives a short reason. The list below the table explains the reasons.

The letter of a guarantee is its subject: {letters}.
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """One test as the proof of a guarantee."""

    guarantee: str
    """Id of the guarantee."""
    text: str
    needs: frozenset[Capability]
    reduced_without: frozenset[Capability] = frozenset()


def proofs(names: Mapping[str, Any]) -> list[Proof]:
    """Return the proofs of the tests among these names, ordered by guarantee."""
    tests = [value for value in names.values() if hasattr(value, "guarantee_id")]
    return sorted(map(_proof, tests), key=lambda proof: _sort_key(proof.guarantee))


def cell(row: Iterable[Proof], capabilities: frozenset[Capability]) -> str:
    """Return the text of the table for one guarantee, given by its proofs, on an engine with these capabilities."""
    row = list(row)
    relevant = [proof for proof in row if not _modes(proof.needs) - capabilities]
    if not any(proof.needs <= capabilities for proof in relevant):
        return _reasons(row[0].guarantee, _missing(relevant or row, capabilities))
    partly = frozenset[Capability]().union(*(proof.reduced_without for proof in row)) - capabilities
    missing = _missing(relevant, capabilities) | partly
    return f"in part: {_reasons(row[0].guarantee, missing)}" if missing else "yes"


def table(found: list[Proof], harnesses: Mapping[str, frozenset[Capability]]) -> str:
    """Return the table and the explanation of the reasons as Markdown."""
    rows = {proof.guarantee: [other for other in found if other.guarantee == proof.guarantee] for proof in found}
    cells = {name: [cell(row, capabilities) for capabilities in harnesses.values()] for name, row in rows.items()}
    lines = [["", "guarantee", *harnesses], ["---"] * (len(harnesses) + 2)]
    lines += [[name, "<br>".join(proof.text for proof in row), *cells[name]] for name, row in rows.items()]
    used = " ".join(text for row in cells.values() for text in row)
    reasons = [*(capability.value for capability in Capability), *SPECIAL_REASONS.values()]
    legend = [f"* **{reason.short}**: {reason.long}" for reason in reasons if reason.short in used]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *legend])


def page() -> str:
    """Return the whole page."""
    letters = ", ".join(f"**{letter}** {subject}" for letter, subject in LETTERS.items())
    return f"{_HEAD.format(letters=letters)}\n{table(proofs(vars(conformance)), HARNESSES)}\n"


def _proof(test: Callable[..., object]) -> Proof:
    facts = vars(test)
    number: str = facts["guarantee_id"]
    name = re.sub(rf"^test_({number.lower()}_)?", "", test.__name__).replace("_", " ")
    details = " ".join((test.__doc__ or "").split()).replace("|", "\\|")
    text = f"{name[0].upper()}{name[1:]}. {details}".replace("uwsgi", "uWSGI").replace("Uwsgi", "uWSGI")
    return Proof(number, text.strip(), facts["needs"], facts["reduced_without"])


def _modes(capabilities: frozenset[Capability]) -> frozenset[Capability]:
    return frozenset(capability for capability in capabilities if capability.value.is_mode)


def _missing(row: Iterable[Proof], capabilities: frozenset[Capability]) -> frozenset[Capability]:
    return frozenset[Capability]().union(*(proof.needs for proof in row)) - capabilities


def _reasons(number: str, missing: frozenset[Capability]) -> str:
    """Return the short reasons, the most important first. If a mode is missing, it is the only reason."""
    shown = _modes(missing) or missing
    reasons = [SPECIAL_REASONS.get((number, one), one.value) for one in Capability if one in shown]
    return ", ".join(reason.short for reason in reasons)


def _sort_key(number: str) -> tuple[int, int, str]:
    letters = list(LETTERS)
    if number[0] in letters and number[1:].isdigit():
        return letters.index(number[0]), int(number[1:]), ""
    return len(letters), 0, number


if __name__ == "__main__":
    sys.stdout.write(page())
