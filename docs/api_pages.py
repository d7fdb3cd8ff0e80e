"""The parts of the API pages that are made of the code when the site is built."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import heliograph

DJANGO_SETTINGS = {
    "INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "heliograph.contrib.django"],
    "TASKS": {},
}
"""Settings with which the modules of `heliograph.contrib.django` can be imported."""

_CODE = re.compile(r"(?<![`:\w])`([^`\n]+)`(?!`)")

NAMES = "<!-- names of heliograph: made by docs/conf.py -->"
"""The place of the list of the names that `heliograph` itself has."""

MODULES = ("signals", "scheduling", "monitoring", "tasks", "mules", "spooler", "platform", "membership", "hooks")
"""Modules of `heliograph.runtime`, in the order of the site."""


def public_objects_only(*event: Any) -> bool | None:
    """Leave out private members. The third part of the event is the name, the fifth says if sphinx leaves it out."""
    name, left_out = event[2], event[4]
    return True if (name.startswith("_") and name != "__call__") or left_out else None


def code_as_literals(*event: Any) -> None:
    """Mark code as reStructuredText does, in the lines of a docstring: the sixth part of the event."""
    lines = event[5]
    lines[:] = [_CODE.sub(r"``\1``", line) for line in lines]


def names() -> str:
    """Return a list of the public names of `heliograph`, each with a link to its documentation."""
    return "\n".join(f"* `{name}` is {{py:obj}}`{home}.{name}`" for name, home in homes())


def homes() -> Iterator[tuple[str, str]]:
    """Yield each public name of `heliograph`, and the module on whose page it stands."""
    paths = [*(f"heliograph.runtime.{module}" for module in MODULES), "heliograph.server", "heliograph.exceptions"]
    modules = [importlib.import_module(path) for path in paths]
    for name in heliograph.__all__:
        yield name, next((module.__name__ for module in modules if _documents(module, name)), heliograph.__name__)


def _documents(module: ModuleType, name: str) -> bool:
    listed = getattr(module, "__all__", None)
    return name in listed if listed else getattr(getattr(module, name, None), "__module__", "") == module.__name__
