"""A file of environment variables, `KEY=VALUE` lines as Docker Compose, systemd and many tools read them.

python-dotenv parses it. It is an extra, since most servers get their variables from a service manager.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

EXTRA = 'Install it with: pip install "heliograph[dotenv]"'


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables in a file. A `$` has no meaning in it.

    Raises:
        ValueError: The file cannot be read, a line is no assignment, or python-dotenv is not installed.
    """
    try:
        from dotenv.parser import parse_stream  # noqa: PLC0415 - an extra
    except ImportError:
        raise ValueError(f"python-dotenv is not installed. {EXTRA}") from None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ValueError(f"it cannot be read ({reason}). Use another file") from error
    found: dict[str, str] = {}
    # `dotenv_values` would skip a line that is wrong, and log it.
    for binding in parse_stream(StringIO(text)):
        line = binding.original.string.strip().partition("\n")[0]
        if binding.error or (binding.key and binding.value is None) or "\0" in line:
            number = binding.original.line + _blank_lines(binding.original.string)
            raise ValueError(f"line {number} is not KEY=VALUE: {line!r}. Correct it")
        if binding.key and binding.value is not None:
            found[binding.key] = binding.value
    return found


def _blank_lines(text: str) -> int:
    """Return the number of blank lines before a statement, which the parser counts as its own."""
    return text[: len(text) - len(text.lstrip())].count("\n")
