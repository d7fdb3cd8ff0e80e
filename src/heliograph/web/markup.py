"""HTML as values. Texts are escaped unless they are `Markup`, so a name or an error cannot become part of the page."""

from __future__ import annotations

from html import escape

_VOID = frozenset({"br", "link", "meta", "input"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Return a value as HTML text. Half characters, which UTF-8 does not have, become question marks."""
    if isinstance(value, Markup):
        return value
    return Markup(escape(str(value).encode(errors="replace").decode()))


def join(*children: object) -> Markup:
    """Return several values as one. None stands for nothing."""
    return Markup("".join(text(child) for child in children if child is not None))


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """Return an element. Attributes that are None or False are left out, `class_` is `class`, `data_x` is `data-x`."""
    found = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{found}>")
    return Markup(f"<{tag}{found}>{join(*children)}</{tag}>")


def prose(value: str) -> Markup:
    """Return a sentence, whose parts between backquotes are code."""
    parts = value.split("`")
    if not len(parts) % 2:
        return text(value)
    return join(*(element("code", part) if place % 2 else part for place, part in enumerate(parts)))


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(value)}"'
