"""The sizes of modules and functions in the package."""

import ast
from pathlib import Path
from statistics import median

import pytest

PACKAGE = Path(__file__).parents[2] / "src/heliograph"
SOURCES = {path.relative_to(PACKAGE): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}

MAX_MODULE_LINES = 350
MAX_MEDIAN_MODULE_LINES = 95
MAX_FUNCTION_LINES = 40
MAX_MASTER_LINES = 160


def module_lines():
    """Lines of each module that has any. Empty `__init__.py` files would lower the median."""
    return {path: len(text.splitlines()) for path, text in SOURCES.items() if text.strip()}


def function_lines(source):
    """Lines of each function without its docstring, by name and first line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{node.name}:{node.lineno}", _length(node) - _docstring_lines(node)


def _length(node):
    return node.end_lineno - node.lineno + 1


def _docstring_lines(node):
    return _length(node.body[0]) if ast.get_docstring(node, clean=False) is not None else 0


def test_no_module_is_long():
    """A module does one thing. A longer one does two, and a reader has to find out which lines belong together."""
    assert {path: lines for path, lines in module_lines().items() if lines > MAX_MODULE_LINES} == {}


def test_most_modules_fit_on_a_screen_or_two():
    """The median must not creep up while every single module stays below the limit."""
    assert len(module_lines()) > 150
    assert median(module_lines().values()) <= MAX_MEDIAN_MODULE_LINES


def test_no_function_is_long():
    """A function fits on a screen, so that its branches are visible together. Docstrings may be as long as needed."""
    found = [
        (str(path), name, lines)
        for path, text in SOURCES.items()
        for name, lines in function_lines(text)
        if lines > MAX_FUNCTION_LINES
    ]
    assert found == []


def test_the_master_only_puts_services_together():
    """Work belongs into a service, an action's function or the supervisor, where a test reaches it without a server."""
    assert module_lines()[Path("server/master.py")] <= MAX_MASTER_LINES


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f():\n    return 1\n", 2),
        ('def f():\n    """One.\n\n    Two.\n    """\n    return 1\n', 2),
        ("async def f(\n    a,\n):\n    return a\n", 4),
    ],
)
def test_lines_are_counted_without_the_docstring(source, lines):
    """So the limits above apply to code."""
    assert [count for _, count in function_lines(source)] == [lines]
