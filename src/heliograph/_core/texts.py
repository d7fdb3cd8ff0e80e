"""Texts from outside, as people read them."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text from outside without characters that would steer the terminal. Line breaks and tabs stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
