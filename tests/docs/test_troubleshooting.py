"""Each message of docs/troubleshooting.md still exists in the package."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/troubleshooting.md").read_text()
MESSAGES = re.findall(r"^\| `([^`]+)`", PAGE, re.MULTILINE)
_PLACEHOLDER = re.compile(r"%(?:\.\d+)?[sdrg]|\{[^{}]*\}")


def texts():
    """The texts of the package. `…` stands for what is filled in."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield _PLACEHOLDER.sub("…", node.value)


@pytest.fixture(scope="module")
def corpus():
    return "\n".join(texts())


def parts(message):
    return [part.strip(" :.,()") for part in message.split("…") if len(part.strip(" :.,()")) > 2]


def test_many_messages_are_explained():
    assert len(MESSAGES) > 80
    assert len(set(MESSAGES)) == len(MESSAGES)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_exists(message, corpus):
    """All of its parts. They can come from several texts that the code puts together."""
    assert parts(message)
    assert [part for part in parts(message) if part not in corpus] == []


def test_each_message_has_a_cause_and_a_way_out():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) == len(MESSAGES)
    assert all(len(row.strip("| ").split(" | ")) == 3 for row in rows)


def test_an_unknown_message_is_found(corpus):
    assert "no such text in the package" not in corpus
