"""The site of the documentation: `make docs` writes it to build/docs.

The pages are Markdown that a forge shows, too. `docs/README.md` is the first page, and its lists are the navigation: a
page that it links to is in the site. Links to files outside of docs become links to the repository.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS))

import django  # noqa: E402 - sphinx reads this file as a script
from api_pages import DJANGO_SETTINGS, NAMES, code_as_literals, names, public_objects_only  # noqa: E402
from django.conf import settings  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

import heliograph  # noqa: E402

REPOSITORY = "https://github.com/heliograph/heliograph"

project = "heliograph"
author = "the heliograph authors"
copyright = "2026, the heliograph authors"  # noqa: A001 - the name that sphinx reads
release = version = heliograph.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "README"
exclude_patterns = ["deployment"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"heliograph {release}"
html_theme_options = {"source_repository": REPOSITORY, "source_branch": "main", "source_directory": "docs/"}
html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False

INDEXES = {root_doc, "reference/python/names"}
"""Pages whose lists are the navigation."""

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#\s:]+\.md)\)")
_RELATIVE_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def navigation(text: str) -> str:
    """Return a hidden table of contents for each section of a page, made of the links in its lists."""
    first, *parts = _HEADING.split(text)
    sections = [("", first), *zip(parts[::2], parts[1::2], strict=True)]
    return "\n\n".join(_tree(title, links) for title, section in sections if (links := _listed(section)))


def _listed(section: str) -> list[str]:
    items = re.findall(r"^\* .*?(?=^\* |^$|\Z)", section, re.MULTILINE | re.DOTALL)
    return [link for item in items for link in _LINK.findall(item)]


def _tree(title: str, links: list[str]) -> str:
    caption = [f":caption: {title}"] if title else []
    return "\n".join(["```{toctree}", ":hidden:", *caption, "", *links, "```"])


def outside_link(page: Path, target: str, anchor: str) -> str:
    """Return a link of a page. A file that is not a page of the site gets its address in the repository."""
    path = (page.parent / target).resolve()
    if path.is_relative_to(DOCS) and path.suffix == ".md":
        return f"]({target}{anchor})"
    kind = "tree" if path.is_dir() else "blob"
    return f"]({REPOSITORY}/{kind}/main/{path.relative_to(ROOT)}{anchor})"


def prepare(_app: Sphinx, name: str, source: list[str]) -> None:
    """Change the text of a page before sphinx reads it."""
    page = DOCS / f"{name}.md"
    text = source[0]
    if name in INDEXES:
        text = f"{text}\n\n{navigation(text)}\n"
    text = text.replace(NAMES, names()) if NAMES in text else text
    source[0] = _RELATIVE_LINK.sub(lambda match: outside_link(page, match[1], match[2] or ""), text)


def write_index(app: Sphinx, _error: Exception | None) -> None:
    """Let the first page be found as index.html, too."""
    if app.builder.format == "html":
        refresh = '<meta http-equiv="refresh" content="0; url=README.html">'
        page = f'<!doctype html><title>heliograph</title>{refresh}<a href="README.html">heliograph</a>\n'
        (Path(app.outdir) / "index.html").write_text(page)


def setup(app: Sphinx) -> None:
    """Register the functions of this file."""
    settings.configure(**DJANGO_SETTINGS)
    django.setup()
    app.connect("source-read", prepare)
    app.connect("build-finished", write_index)
    app.connect("autodoc-process-docstring", code_as_literals, priority=400)  # before napoleon
    app.connect("autodoc-skip-member", public_objects_only)
