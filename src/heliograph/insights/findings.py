"""Findings of the rules, and words for them."""

from __future__ import annotations

from typing import NamedTuple

from heliograph._core.units import duration


class Finding(NamedTuple):
    """A problem, as a rule finds it. See `heliograph.insights.model.Problem`."""

    subject: str
    text: str
    advice: str
    since: float | None = None


def for_(seconds: float) -> str:
    """Return a duration within a sentence: `12 s`, `2h05m`."""
    return f"{max(0.0, seconds):.0f} s" if seconds < 60 else duration(seconds)


def sentence(text: str) -> str:
    """Return a text as a sentence that begins with a small letter, as problems do."""
    return f"{text[:1].lower()}{text[1:].rstrip('.')}."
