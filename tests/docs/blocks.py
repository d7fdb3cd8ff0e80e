"""The code blocks of a Markdown page, and the comments that say how a test runs them.

A comment before a block, invisible to readers:

    <!-- file: NAME -->             the block is this file. A line with only `NAME`: before the block says the same
    <!-- server output -->          these lines appear in the output of the server
    <!-- not run: REASON -->        the block is not run
    <!-- new project -->            what follows begins in an empty directory
    <!-- project: NAME -->          ... with the files of tests/docs/projects/NAME
    <!-- continues: PAGE -->        the files of another page are there

and blocks that readers do not see:

    <!-- run: python
    print("run in the session of the page")
    -->
    <!-- run: console
    $ mkdir spool
    -->
    <!-- run: server output
    worker 1: 1 prices
    -->
    <!-- run: file NAME
    the text of a file
    -->
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

NEW_PROJECT, SERVER_OUTPUT, APPEND, CONTINUES = "new project", "server output", "append to", "continues: "
PROJECT = "project: "

_TOKEN = re.compile(
    r"^<!-- run: (?P<hidden>python|console|server output|file (?P<hidden_name>\S+))\n(?P<hidden_text>.*?)^-->$"
    r"|^<!-- (?P<comment>file: \S+|server output|not run: [^\n]+?|new project|project: \S+|continues: \S+) -->$"
    r"|^(?P<indent> *)```(?P<language>[\w{}-]*)\n(?P<text>.*?)^ *```$"
    r"|^(?P<prose>[^\n]+)$",
    re.MULTILINE | re.DOTALL,
)
_NAMED = re.compile(r"`([\w./-]+\.(?:py|toml|env|service|ini|html))`(?: again)?:$")
_FIRST_LINE = re.compile(r"# ([\w/]+\.(?:py|env))\n")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code."""

    line: int
    language: str
    text: str
    file: str = ""
    """Name of the file that the block is."""
    how: str = ""
    """`new project`, `project: NAME`, `continues: PAGE`, `server output`, `append to`, `not run: REASON`, or empty."""


def blocks_of(page: str) -> Iterator[Block]:
    """Yield the blocks of a page in their order."""
    comment = named = ""
    for token in _TOKEN.finditer(page):
        line = page.count("\n", 0, token.start()) + 1
        if token["prose"] is not None:
            named = token["prose"]
            continue
        if (token["comment"] or "").startswith((NEW_PROJECT, PROJECT, CONTINUES)):
            yield Block(line, "", "", how=token["comment"])
        elif token["comment"] is not None:
            comment = token["comment"]
        elif token["hidden"] is not None:
            how = SERVER_OUTPUT if token["hidden"] == SERVER_OUTPUT else ""
            yield Block(line, token["hidden"].split()[0], token["hidden_text"], token["hidden_name"] or "", how)
        else:
            yield _visible(line, token["language"], textwrap.dedent(token["text"]), comment, named)
            comment = named = ""


def _visible(line: int, language: str, text: str, comment: str, named: str) -> Block:
    if comment.startswith("file: "):
        return Block(line, language, text, file=comment.removeprefix("file: "))
    found = _NAMED.search(named)
    if not comment and found is not None:
        return Block(line, language, text, file=found[1], how=APPEND if re.search(r"\b[Aa]ppend\b", named) else "")
    first = _FIRST_LINE.match(text)
    if not comment and first is not None:
        return Block(line, language, text, file=first[1])
    return Block(line, language, text, how=comment)
