"""Compare what a page shows with what a program has printed.

`...` stands for any text in a line, and for any lines if it is a line of its own. Spaces, process ids, generated names,
times and durations may differ.
"""

import re

_VOLATILE = [
    (re.compile(r"\x1b\[[\d;]*m"), ""),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:[+-]\d\d:\d\d|Z| UTC)?"), "TIME"),
    (re.compile(r"\b[0-9a-f]+-[0-9a-f]{16}\b"), "TASK"),
    (re.compile(r"-[0-9a-f]{10}\b"), "-HASH"),
    (re.compile(r"\b(?:\d+(?:\.\d+)?[dhm] ?)*\d+(?:\.\d+)? ?(?:ms|s|m|h|d)\b"), "DURATION"),
    (re.compile(r"(\b(?:master|server|(?:worker|mule|spooler)\d+|pid|process)|\() ?\d+(?=\b)(?! of)"), r"\1 NUMBER"),
    (re.compile(r"(?<![\d.])\d{4,}(?![\d.])"), "NUMBER"),
    (re.compile(r"\b\d+(?:\.\d+)? [KMG]iB"), "SIZE"),
    (
        re.compile(r"(?<=^master )[ ]*\d+|(?<=^worker1)[ ]+\d+|(?<=^mule1)[ ]+\d+|(?<=^spooler1)[ ]+\d+", re.MULTILINE),
        " NUMBER",
    ),
    (re.compile(r"\bline \d+|\b0x[0-9a-f]+"), "NUMBER"),
    (re.compile(r"[ \t]+"), " "),
]


def plain(text: str) -> str:
    """Replace what differs from run to run."""
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def pattern(shown: str) -> re.Pattern[str]:
    """Return the pattern of the lines that a page shows."""
    lines = []
    for line in plain(shown).splitlines():
        if line == "...":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(".*".join(re.escape(part) for part in line.split("...")) + r"\n")
    return re.compile("".join(lines))


def matches(shown: str, printed: str) -> bool:
    """Return True if a program has printed what the page shows."""
    return pattern(shown).fullmatch(plain(printed) + "\n" if printed.strip() else "") is not None


def missing(shown: str, printed: str) -> list[str]:
    """Return the shown lines that were not printed. The order does not matter. A line can be shown twice."""
    left = plain(printed).splitlines()
    absent = []
    for line in plain(shown).splitlines():
        found = next((other for other in left if pattern(line).search(other + "\n")), None)
        if found is None:
            absent.append(line)
        else:
            left.remove(found)
    return absent
