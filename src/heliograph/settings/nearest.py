"""Advice for a name that is not known: the one that it is most like."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType


def nearest(name: str, names: Collection[str], otherwise: str, shown: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return advice for an unknown name.

    Args:
        name: The name.
        names: The names that are known.
        otherwise: Description of the names, if none of them is similar.
        shown: Names that are shown differently.
    """
    import difflib  # noqa: PLC0415 - only an error needs it

    similar = difflib.get_close_matches(name, names, 1)
    return f"Did you mean {shown.get(similar[0], similar[0])}?" if similar else f"Use {otherwise}: {', '.join(names)}"
