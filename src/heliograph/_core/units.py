"""Durations and sizes for people."""

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
