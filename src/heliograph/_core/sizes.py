"""Sizes and durations as they stand in options: `200M`, `1.5G`, `12h`."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?)(?:i?b)?", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([smhd]?)", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse_size(text: str) -> int:
    """Return a number of bytes. `200M`, `200MB` and `200MiB` are the same: 200 times 1024 times 1024.

    Raises:
        ValueError: The text is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError("it is not a size. Use a number of bytes, or K, M or G as in 200M")
    return int((float if "." in found[1] else int)(found[1]) * 1024 ** _POWERS[found[2].upper()])


def size_option(size: int) -> str:
    """Return a number of bytes as an option has it: `200M`."""
    for unit, power in reversed(_POWERS.items()):
        if size and not size % 1024**power:
            return f"{size // 1024**power}{unit}"
    return str(size)


def parse_duration(text: str) -> float:
    """Return a number of seconds: `90`, `90s`, `30m`, `12h` or `7d`.

    Raises:
        ValueError: The text is no duration.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError("it is not a duration. Use seconds, or s, m, h or d as in 12h")
    return float(found[1]) * _SECONDS[found[2].lower() or "s"]


def duration_option(seconds: float) -> str:
    """Return a number of seconds as an option has it: `12h`."""
    for unit, size in _SECONDS.items():
        if seconds and not seconds % size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"
