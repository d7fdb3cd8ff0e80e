"""The vocabulary: no retired word stands in the code, the pages or the help of the command."""

import ast
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from heliograph.cli import main

ROOT = Path(__file__).parents[2]

RETIRED = {
    r"(?<!HTML )(?<!Jinja )(?<!Django )(?<!request )(?<!issue )(?<!django\.)(?<![\"'/])\btemplates?\b": "fork server",
    r"\b(?:in|its|the|whose|each|this|of) hands?\b(?! side)|\bin-hand\b|\bin a hand\b": "in flight, in-flight buffer",
    r"(?<!user )\baccounts\b(?! for)": "counters",
    r"(?<![\"'`_])\bgauges?\b(?![\"'`])(?! = )": "capacity",
    r"\bheliograph\.port\b|\bthe port's\b|\bengine port\b": "heliograph.interfaces",
    r"\bget_sources\b|\b(?:a|each|every|that|their|all|the) sources?\b(?! code| file| tree| dist| of|\.)": "trigger",
    r"\brais(?:e|es|ed|ing) (?:a |an |the |its |their |this |that |which |such a )?signals?\b(?! handler)": "send",
    r"\b(?:signals?|it) (?:is|are|was|were|may be) raised\b|\braised from outside\b": "sent",
    r"\bbeside (?:a |an |the |another )?(?:web server|server|gunicorn|uvicorn|granian)\b": "with a web server",
    r"[._/]beside\b|\bbeside\.py\b|\bBesideReceiver\b": "web server, thread receiver",
    r"\b(?:un)?hosted\b|\bthe other server\b": "web server",
    r"\bseats?\b": "worker number",
    r"(?<![-\w\"'])mercy\b(?![=:\"'])": "graceful timeout",
    r"\bpromis(?:e|es|ed)\b": "guarantee",
    r"(?<!-)\bhouse\b|(?<!math\.)\bfloors?\b": "layer",
    r"\brooms?\b": "space (in a queue), module (in the package)",
    r"\bdoors?\b": "pidfd watcher, interface",
    r"\bmemos?\b": "last runs",
    r"\bsettlements?\b": "redelivery",
    r"\bwires?\b|\bwiring\b": "uwsgi protocol, inherited state",
    r"\bkin\b": "prctl",
    r"\brehears\w*": "preflight",
    r"\bguests?\b": "sender-only process",
    r"\btickers?\b": "scheduler thread",
    r"\braisers?\b": "scheduler",
    r"\bon stage\b|\bstage\.plays\b|\btesting[./]stage\b|\b(?:Server|Inline)Stage\b": "harness",
    r"\bplays\.py\b|\.playing\(": "harness.py, as_process()",
    r"\bheliograph_engine\.(?:hold|waiting|refused)\b": "paused(), queued(), rejected",
    r"\bgrid\b": "fixed rate",
    r"\btwo dashes\b": "`--`",
    r"\bservers? of our own\b|\bour own server\b|\blocal engine\b": "the heliograph server",
    r"\bHELIOGRAPH_LOCAL\b": "HELIOGRAPH_INHERITED",
    r"\bheliograph\.values\b": "heliograph.models",
    r"\bRunOptions\b": "TriggerOptions",
    r"(?<![\w.])(?<!def )unregister\(": "unregister_trigger()",
    r"\bHURRY\b": "FAST",
    r"\bunmanned\b|\bworkerless\b": "vacant workers, workers gone",
}
"""Retired words, as patterns -> the word to use. A pattern has its exceptions: the alias `--mercy`, for example."""

RETIRED_PARTS = {
    r"(?<!Django )\btemplates?\b": "fork server",
    r"\bin hand\b": "in flight",
    r"\baccounts\b": "counters",
    r"\bgauges?\b(?! Metric Family)": "capacity",
    r"\bsources\b": "triggers",
    r"\bbeside\b|\b(?:un)?hosted\b": "web server",
    r"\bseats?\b": "worker number",
    r"\bmercy\b": "graceful timeout",
    r"\bpromises?\b": "guarantee",
    r"\bhouse\b|\bfloors?\b": "layer",
    r"\brooms?\b": "space",
    r"\bdoors?\b": "pidfd watcher",
    r"\bmemos?\b": "last runs",
    r"\bsettlements?\b": "redelivery",
    r"\bwir(?:e|es|ing)\b": "uwsgi protocol, inherited state",
    r"\bkin\b|\brehears\w*": "prctl, preflight",
    r"\bguests?\b": "sender-only process",
    r"\bticker\b|\braiser\b": "scheduler",
    r"\bgrid\b": "fixed rate",
}
"""The same for parts of identifiers, such as `free_seat` or `SeatMap`."""

_RETIRED = {re.compile(pattern, re.IGNORECASE): word for pattern, word in RETIRED.items()}
_RETIRED_PARTS = {re.compile(pattern, re.IGNORECASE): word for pattern, word in RETIRED_PARTS.items()}
_RELATIVE = re.compile(r"(?:Who|Whose|What|Which|Where|When|Whether|Why|How)(?:ever)?\b")
_IDENTIFIER_PART = re.compile(r"_|(?<=[a-z0-9])(?=[A-Z])")


def _files():
    named = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", "pyproject.toml"]
    yield from map(ROOT.joinpath, named)
    for pattern in ("docs/**/*.md", ".github/**/*.*", ".ci/*"):
        yield from ROOT.glob(pattern)
    for directory in ("src", "tests", "benchmarks", "chaos", "examples", "typings"):
        yield from (ROOT / directory).rglob("*.py*")
        yield from (ROOT / directory).rglob("*.md")


FILES = sorted(
    path
    for path in _files()
    if path.is_file()
    and path.suffix != ".pyc"
    and path != Path(__file__)  # it has the list
    and not path.is_relative_to(ROOT / "benchmarks/results")  # names of the version that was measured
)
"""All files that people read, code included."""


def retired_words(text):
    """The retired words in a text, each with the word to use instead. Parts of identifiers count as words."""
    found = [(match[0], word) for pattern, word in _RETIRED.items() for match in pattern.finditer(text)]
    parts = "\n".join(
        " ".join(_IDENTIFIER_PART.split(name))
        for name in re.findall(r"\w*[A-Za-z0-9](?:_|(?<=[a-z0-9])[A-Z])\w*", text)
    )
    found += [(match[0], word) for pattern, word in _RETIRED_PARTS.items() for match in pattern.finditer(parts)]
    return found


def commands(command=main, path=()):
    """The command and its subcommands, as arguments."""
    yield path
    for name, sub in getattr(command, "commands", {}).items():
        yield from commands(sub, (*path, name))


def _name(path):
    return str(path.relative_to(ROOT))


def test_no_retired_word_stands_in_a_file():
    """Docstrings, comments, texts and identifiers included. The error names the line and the word to use."""
    lines = {
        line: f"{_name(path)}:{number}"
        for path in FILES
        for number, line in enumerate(path.read_text().splitlines(), 1)
    }
    assert len(FILES) > 300
    if retired_words("\n".join(lines)):  # all at once, since a search for each line takes much longer
        assert [f"{place}: {words}" for line, place in lines.items() if (words := retired_words(line))] == []


@pytest.mark.parametrize("arguments", list(commands()), ids=" ".join)
def test_no_retired_word_stands_in_the_help(arguments):
    """Of the command and of each subcommand."""
    result = CliRunner().invoke(main, [*arguments, "--help"], prog_name="heliograph")
    assert result.exit_code == 0
    assert result.output.startswith("Usage: heliograph")
    assert retired_words(result.output) == []


def test_no_docstring_of_the_package_opens_with_a_relative_clause():
    """A docstring begins with a verb or a noun phrase. This holds for docstrings of attributes too."""
    found = [
        f"{_name(path)}:{node.lineno}: {node.value.value[:60]}"
        for path in FILES
        if path.is_relative_to(ROOT / "src")
        if path.suffix == ".py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if _RELATIVE.match(node.value.value)
    ]
    assert found == []


def test_each_subcommand_is_checked():
    """`heliograph signals` is an alias with a help of its own."""
    names = {arguments[0] for arguments in commands() if arguments}
    assert isinstance(main, click.Group)
    assert {"run", "signals", "schedule", "reload", "stop", "send"} <= names == set(main.commands)


@pytest.mark.parametrize(
    "text",
    [
        "the template forks",
        "what it had in hand",
        "raises a signal",
        "signals are raised",
        "run beside gunicorn",
        "a free seat",
        "within its mercy",
        "until there is room",
        "what the server promises",
        "after two dashes",
        "on the local engine",
        "free_seat = 1",
        "class SeatMap",
        "self._guest_slot",
        "HAS_ROOM",
    ],
)
def test_a_retired_word_is_found(text):
    """So the list does not only hold patterns that match nothing."""
    assert len(retired_words(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "a Django template",
        'register_file_monitor("templates")',
        "`--mercy` is an alias, serve(mercy=1) too",
        "uWSGI has --worker-reload-mercy",
        "raise an exception",
        "the source code of uWSGI",
        "put it beside the file",
        "this accounts for most of it",
        "math.floor(now)",
        "a TCP port",
        "selector.unregister(fd)",
    ],
)
def test_an_exception_to_a_retired_word_is_allowed(text):
    assert retired_words(text) == []
