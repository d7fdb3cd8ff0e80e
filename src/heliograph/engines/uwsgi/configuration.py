"""Options that may be given several times. `uwsgi.opt` of 2.0.30 has only the last value.

This module reads them from the command line of the server, and from the ini files that it names. If there are none
(another file format, the emperor), it falls back to `uwsgi.opt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_WITH_A_VALUE = frozenset({"ini", "farm", "mules", "threads", "spooler"})
"""Options whose value may be the next argument. The value of `--mule` may not."""
_LINE = re.compile(r"\s*(?P<key>[\w-]+)\s*(=\s*(?P<value>.*?)\s*)?")


def option_values(name: str, opt: Mapping[str, Any], command: Sequence[str] | None = None) -> list[str]:
    """Return all values of an option, in order. An option without a value has the value ""."""
    words = _command_line() if command is None else command
    found = [value for key, value in _options(words) if key == name]
    if found or name not in opt:
        return found
    values: list[Any] | Any = opt[name]
    return [_as_text(value) for value in (values if isinstance(values, list) else [values])]  # pyright: ignore[reportUnknownVariableType]


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the options of a command line and of the ini files that it names, in order."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            if word.endswith(".ini"):
                yield from _lines(Path(word))
            continue
        key, has_value, value = word[2:].partition("=")
        if not has_value and key in _WITH_A_VALUE:
            value = next(rest, "")
        if key == "ini":
            yield from _lines(Path(value))
        else:
            yield key, value


def _lines(path: Path, depth: int = 8) -> Iterator[tuple[str, str]]:
    """Yield the options of an ini file, from section `uwsgi` or the one after the colon, and of included files."""
    name, _, section = str(path).partition(":")
    try:
        lines = Path(name).read_text(errors="replace").splitlines()
    except OSError:
        return
    current = ""
    for line in lines:
        if line.lstrip().startswith("["):
            current = line.strip().strip("[]").strip()
        found = _LINE.fullmatch(line)
        if found is None or current != (section or "uwsgi"):
            continue
        key, value = found["key"], found["value"] or ""
        if key in ("ini", "include") and depth:
            yield from _lines(Path(name).parent / value if not Path(value).is_absolute() else Path(value), depth - 1)
        else:
            yield key, value


def _command_line() -> list[str]:
    try:
        return Path("/proc/self/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else ""
