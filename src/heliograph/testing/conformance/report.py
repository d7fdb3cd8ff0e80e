"""Which engine keeps which promise, as a table: `python -m heliograph.testing.conformance.report > docs/guarantees.md`.

Rules
    What a row promises is what its tests prove, in the words of their names and docstrings.
    An engine keeps a row if it has all that the row's tests need. A test of one engine or one mode only (`uwsgi`,
    `lazy`, `threads` ...) says something of that one, and nothing against the others.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from heliograph.testing import conformance
from heliograph.testing.harness.harness import FEATURES

MODES = frozenset({"uwsgi", "local", "lazy", "threads", "fake clock", "real minutes"})
"""Features that are not an ability: they say which engine, or which mode of it, a test is about."""


class Reason(NamedTuple):
    """Why a promise is not given: a few words for the table, and what is behind them."""

    short: str
    long: str


LIMITATIONS: dict[str, Reason] = {
    "mules": Reason(
        "workers' pool only",
        "With `--lazy-apps` uWSGI routes by its master's table, which the application never fills: any other target "
        "than `worker` is refused at registration (S12). In a module that the master imports (`shared-pyimport`) "
        "every target works.",
    ),
    "server": Reason(
        "one process",
        "One process plays all processes, one after another: nothing runs at the same time, and nothing is killed.",
    ),
    "limited wait": Reason(
        "no timeout",
        "uWSGI's wait cannot be interrupted. A timeout is refused with `NotSupported`; a wait without one works.",
    ),
    "serial workers": Reason(
        "not in workers",
        "With `--threads` each thread of a worker takes signals: two of them run side by side in no order, and one "
        "that waits could miss its signal. In mules and spoolers it holds; waiting in such a worker is refused.",
    ),
    "moves": Reason(
        "same target only",
        "uWSGI's master cannot change a registration. The handler is replaced; another target for the number is an "
        "error that names both functions.",
    ),
    "redelivery": Reason(
        "as uWSGI does",
        "uWSGI does not note what a process has in hand: when it is killed, that signal is lost.",
    ),
    "uwsgi": Reason(
        "tried on uWSGI only",
        "The suite has a test of this for uWSGI only.",
    ),
    "coalesces": Reason("every tick queues", "As uWSGI does: every tick queues, also while one waits."),
    "fake clock": Reason("real time", "Shown on a fake clock; the schedule is the same on every engine."),
    "real minutes": Reason("shown elsewhere", "One server of each kind waits for a real minute, which is enough."),
    "local": Reason("our own server only", "uWSGI and the inline engine have no such thing."),
    "lazy": Reason(
        "nothing to refuse",
        "The row is about uWSGI with `--lazy-apps`. Here every target can be registered.",
    ),
    "threads": Reason("no threads", "The row is about uWSGI with `--threads`."),
    "S11 mules": Reason(
        "each for itself",
        "With `--lazy-apps` each worker loads the application, and so registers, for itself.",
    ),
    "loads once": Reason(
        "no such moment",
        "With `--lazy-apps` the application is loaded in each process, when the server is up.",
    ),
}
"""What a stage lacks (`row feature`, where a row is a case of its own) -> why it does not give the promise."""

PARTIAL: dict[str, frozenset[str]] = {
    "D1": frozenset({"mules"}),
    "D5": frozenset({"serial workers"}),
    "S5": frozenset({"moves"}),
    "T9": frozenset({"serial workers"}),
}
"""Features that tests of a row look at while they run, to try less: row -> features."""

_HEAD = """\
# Promises, engine by engine

Generated from the conformance suite (`heliograph.testing.conformance`) by

    python -m heliograph.testing.conformance.report > docs/guarantees.md

A row is proved by tests that run on every engine of which it says yes, real uWSGI among them: `make test`. Where an
engine keeps a row in part, or not at all, the table says why in a few words; they are explained below it.
"""

_ORDER = {"S": 0, "T": 1, "D": 2, "K": 3}


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What one test proves: of which row, with what needs, and in words."""

    row: str
    needs: frozenset[str]
    text: str


def guarantees(names: Mapping[str, Any]) -> list[Guarantee]:
    """The promises that the tests among these names prove, in the order of their rows."""
    tests = [value for value in names.values() if hasattr(value, "row")]
    return sorted((_guarantee(test) for test in tests), key=lambda promise: _place(promise.row))


def cell(row: Iterable[Guarantee], features: frozenset[str]) -> str:
    """What the table says of one row, whose promises these are, for a stage with these features."""
    row = list(row)
    about = [promise for promise in row if not (promise.needs & MODES) - features]
    if not any(promise.needs <= features for promise in about):
        return _short(row[0].row, _lacking(about or row, features))
    lacking = _lacking(about, features) | (PARTIAL.get(row[0].row, frozenset()) - features)
    return f"in part: {_short(row[0].row, lacking)}" if lacking else "yes"


def table(found: list[Guarantee], stages: Mapping[str, frozenset[str]]) -> str:
    """The table and its legend, as Markdown."""
    rows = {promise.row: [other for other in found if other.row == promise.row] for promise in found}
    cells = {name: [cell(row, features) for features in stages.values()] for name, row in rows.items()}
    lines = [["", "promise", *stages], ["---"] * (len(stages) + 2)]
    lines += [[name, "<br>".join(promise.text for promise in row), *cells[name]] for name, row in rows.items()]
    said = " ".join(text for row in cells.values() for text in row)
    legend = [f"* **{reason.short}**: {reason.long}" for reason in LIMITATIONS.values() if reason.short in said]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *legend])


def page() -> str:
    """The whole page."""
    return f"{_HEAD}\n{table(guarantees(vars(conformance)), FEATURES)}\n"


def _guarantee(test: Callable[..., object]) -> Guarantee:
    facts = vars(test)
    row: str = facts["row"]
    name = re.sub(rf"^test_({row.lower()}_)?", "", test.__name__).replace("_", " ")
    more = " ".join((test.__doc__ or "").split()).replace("|", "\\|")
    text = f"{name[0].upper()}{name[1:]}. {more}".replace("Uwsgi", "uWSGI")
    return Guarantee(row, frozenset(facts["needs"]), text.strip())


def _lacking(row: Iterable[Guarantee], features: frozenset[str]) -> frozenset[str]:
    return frozenset[str]().union(*(promise.needs for promise in row)) - features


def _short(row: str, lacking: frozenset[str]) -> str:
    """The reasons, the weightier first; a mode that is not this one says it all."""
    told = [name for name in LIMITATIONS if name in (lacking & MODES or lacking)]
    return ", ".join(LIMITATIONS.get(f"{row} {name}", LIMITATIONS[name]).short for name in told)


def _place(row: str) -> tuple[int, int, str]:
    number = row[1:]
    return (_ORDER.get(row[0], 9), int(number), "") if number.isdigit() else (9, 0, row)


if __name__ == "__main__":
    sys.stdout.write(page())
