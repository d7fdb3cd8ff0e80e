"""Durations, sizes and numbers for people."""

from __future__ import annotations

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


def duration(seconds: float) -> str:
    """Return a duration in its largest unit, and the next one if the number is small: `3d`, `2h05m`, `12s`."""
    left = max(0, round(seconds))
    for i, (unit, size) in enumerate(_UNITS):
        if left >= size:
            count, rest = divmod(left, size)
            smaller, smaller_size = _UNITS[i + 1] if i + 1 < len(_UNITS) else ("s", 1)
            return f"{count}{unit}" if count >= 10 else f"{count}{unit}{rest // smaller_size:02}{smaller}"
    return f"{left}s"


def size(count: float) -> str:
    """Return a number of bytes: `812 B`, `12.4 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1024
    return f"{count:.1f} GiB"


def latency(seconds: float) -> str:
    """Return a duration with three digits, also one of microseconds: `85us`, `1.25ms`, `340ms`, `2.5s`, `3m20s`."""
    if seconds >= 60:
        return duration(seconds)
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g}{unit}"
    return f"{seconds * 1e6:.0f}us"


def short_number(count: float) -> str:
    """Return a number in at most five characters: `0`, `0.4`, `97`, `12.3k`, `4.2M`."""
    if count < 10 and count != int(count):
        return f"{count:.1f}"
    if round(count) < 10_000:
        return f"{count:.0f}"
    for unit in "kMG":
        count /= 1000
        if count < 99.95:
            return f"{count:.1f}{unit}"
        if count < 999.5:
            return f"{count:.0f}{unit}"
    return f"{count / 1000:.0f}T"
