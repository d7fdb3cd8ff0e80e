"""The reference of `heliograph status --json`, made from the read model: a page, and a JSON schema.

`heliograph.cli.reference` writes both. A field's docstring is its description.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from heliograph.insights import model
from heliograph.insights.health import RULES

SCHEMA = "status.schema.json"
"""File beside the page."""

_SIMPLE = {"str": "text", "int": "integer", "float": "number", "bool": "true or false", "None": "null"}


class Field(NamedTuple):
    """A field of a value of the read model."""

    name: str
    annotation: str
    text: str
    """Its docstring, in one line. Empty if its name says it."""


class Value(NamedTuple):
    """A dataclass of the read model."""

    name: str
    text: str
    fields: tuple[Field, ...]


def values() -> tuple[Value, ...]:
    """Return all values of the read model, the server first, then the others in the order of the module."""
    tree = ast.parse(inspect.getsource(model))
    found = [Value(node.name, _line(ast.get_docstring(node)), tuple(_fields(node))) for node in _classes(tree)]
    return tuple(sorted(found, key=lambda value: value.name != "ServerState"))


def part() -> str:
    """Return the generated part of the page: the codes of problems, and a table for each value."""
    codes = ["| code | severity |", "| --- | --- |", *(f"| `{rule.code}` | {rule.severity} |" for rule in RULES)]
    sections = ["## Codes of problems", "\n".join(codes)]
    for value in values():
        rows = [f"| `{field.name}` | {_type(field.annotation)} | {_cell(field.text)} |" for field in value.fields]
        sections += [
            f"## {value.name}",
            value.text,
            "\n".join(["| field | value | meaning |", "| --- | --- | --- |", *rows]),
        ]
    return "\n\n".join(sections)


def schema() -> str:
    """Return the JSON schema (2020-12) of the state of a server."""
    found: dict[str, Any] = msgspec.json.schema(model.ServerState)
    for value in values():
        definition = found["$defs"][value.name]
        definition["description"] = value.text
        for field in value.fields:
            if field.text:
                definition["properties"][field.name]["description"] = field.text
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "heliograph status --json"}
    return json.dumps({**head, **found}, indent=2) + "\n"


def _classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    return (node for node in tree.body if isinstance(node, ast.ClassDef))


def _fields(node: ast.ClassDef) -> Iterator[Field]:
    for item, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            text = str(after.value.value) if is_text else ""  # type: ignore[union-attr]
            yield Field(item.target.id, ast.unparse(item.annotation), _line(text))


def _type(annotation: str) -> str:
    """Return an annotation in the words of JSON: `integer or null`, `list of [Problem](#problem)`."""
    if annotation.startswith("tuple[tuple["):
        return "list of pairs"
    if annotation.startswith("dict["):
        return "object"
    if match := re.fullmatch(r"tuple\[(\w+), \.\.\.\]", annotation):
        return f"list of {_type(match[1])}"
    return " or ".join(map(_word, annotation.split(" | ")))


def _word(annotation: str) -> str:
    literal = str(getattr(model, annotation, annotation)).removeprefix("typing.")
    if match := re.fullmatch(r"Literal\[(.*)\]", literal):
        return ", ".join(f"`{text[1:-1]}`" for text in match[1].split(", "))
    return _SIMPLE.get(annotation) or f"[{annotation}](#{annotation.lower()})"


def _line(text: str | None) -> str:
    return re.sub(r"\bNone\b", "Null", " ".join((text or "").split()))


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
