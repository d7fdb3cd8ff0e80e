"""Errors about names that stand for no task."""

from __future__ import annotations

import sys


def find_object(module: str, path: str) -> object:
    """Return what a name stands for in a module that was imported. None: nothing."""
    found: object = sys.modules[module]
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def not_a_task(module: str, path: str) -> str:
    """Return what the name stands for if it is a function. Empty: it is none."""
    from heliograph.runtime.handlers import REGISTRY  # noqa: PLC0415 - for errors only

    found = find_object(module, path)
    if not callable(found):
        return ""
    for known in REGISTRY.registered.values():
        if known.func is found:
            return f"{path} is the handler of signal {known.num}: use `heliograph send`, or decorate it with @task."
    return f"{path} is no task: decorate it with @task."


def unknown(name: str, reason: str, known: list[str]) -> str:
    """Return the error for an unknown name, with a similar one of the `known`."""
    from difflib import get_close_matches  # noqa: PLC0415 - for errors only

    similar = get_close_matches(name, known, 1)
    hint = f" Did you mean {similar[0]}?" if similar else ""
    why = f" ({reason})" if reason else ""
    known_text = f"Known are: {', '.join(sorted(set(known))[:10])}." if known else "No task is known here."
    return f"no such task: {name}{why}.{hint} {known_text} Use --unchecked to enqueue it by its name alone."
