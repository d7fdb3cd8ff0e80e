"""Write the parts of docs/reference that are made from the table of options, and from the read model.

`python -m heliograph.cli.reference [DIRECTORY]` replaces the text between the markers of a page. The rest of the page
is written by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from heliograph.cli import status_reference
from heliograph.settings.arguments import ARGUMENTS, COMMANDS, ENV_FILE, FILES
from heliograph.settings.config_file import key_of
from heliograph.settings.file_values import description
from heliograph.settings.option_row import ENGINES, Option
from heliograph.settings.option_types import Flag
from heliograph.settings.options import OPTIONS

DIRECTORY = Path("docs/reference")
BEGIN = "<!-- options: made by `make reference` from settings/options.py -->"
END = "<!-- end of options -->"
STATUS_PAGE = "status.md"
STATUS_BEGIN = "<!-- values: made by `make reference` from insights/model.py and insights/health.py -->"
STATUS_END = "<!-- end of values -->"


def options_table(options: Sequence[Option]) -> str:
    """Return the table of the options of `heliograph run`."""
    rows = [(_spelling(row), _engine(row), row.default_text or _none(row), _meaning(row)) for row in options]
    return _table(("option", "engine", "default", "meaning"), rows)


def variables_table(options: Sequence[Option]) -> str:
    """Return the table of the environment variables of `heliograph run`."""
    rows = [(f"`{row.variable}`", f"`{row.flag}`", _value(row)) for row in options]
    return _table(("variable", "option", "value"), rows)


def keys_table(options: Sequence[Option]) -> str:
    """Return the table of the keys of the configuration file."""
    rows = [(f"`{key_of(row)}`", description(row), _key_meaning(row)) for row in options]
    return _table(("key", "value", "meaning"), rows)


PAGES: dict[str, tuple[Callable[[Sequence[Option]], str], Sequence[Option]]] = {
    "command.md": (options_table, (*FILES, *OPTIONS)),
    "environment.md": (variables_table, (*ARGUMENTS, *FILES, *OPTIONS)),
    "configuration.md": (keys_table, (*ARGUMENTS, COMMANDS, ENV_FILE, *OPTIONS)),
}
"""Page -> the function that makes its part, and the options in it."""


def part(name: str) -> str:
    """Return the part of a page."""
    make, options = PAGES[name]
    return make(options)


def replaced(page: str, part: str, begin: str = BEGIN, end: str = END) -> str:
    """Return the page with this part between its markers. Raises `ValueError` if a marker is missing."""
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"the page has no markers: {begin} and {end}. Add both")
    return f"{before}{begin}\n\n{part}\n\n{end}{after}"


def main(directory: Path) -> None:
    """Write the pages of a directory."""
    for name in PAGES:
        path = directory / name
        path.write_text(replaced(path.read_text(), part(name)))
    page = directory / STATUS_PAGE
    page.write_text(replaced(page.read_text(), status_reference.part(), STATUS_BEGIN, STATUS_END))
    (directory / status_reference.SCHEMA).write_text(status_reference.schema())


def _spelling(row: Option) -> str:
    return f"`{f'{row.flag} {row.metavar}'.strip()}`"


def _engine(row: Option) -> str:
    return "both" if row.engines == ENGINES else ", ".join(row.engines)


def _none(row: Option) -> str:
    return "off" if isinstance(row.type, Flag) else "none"


def _meaning(row: Option) -> str:
    aliases = " ".join(f"`{flag}` is an alias." for flag in row.aliases)
    return " ".join(filter(None, (f"{row.help}.", row.details, aliases)))


def _key_meaning(row: Option) -> str:
    engine = f" Engine {row.engines[0]} only." if row.engines != ENGINES else ""
    return f"{row.help}.{engine}"


def _value(row: Option) -> str:
    if isinstance(row.type, Flag):
        return "1 or 0"
    return f"{row.metavar} {row.metavar} ... (separated by spaces)" if row.repeatable else row.metavar


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY)
