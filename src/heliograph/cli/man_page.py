"""Write the man page heliograph(1), from the commands and options that click has.

`python -m heliograph.cli.man_page [FILE]` writes it. The package installs it in share/man/man1.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from heliograph.cli import main as heliograph

FILE = Path("man/heliograph.1")

_FILES = (
    ("heliograph.toml", "the settings of a server, in its working directory. Or [tool.heliograph] in pyproject.toml"),
    ("$XDG_RUNTIME_DIR/heliograph/NAME.sock", "the control socket of a server"),
    ("$XDG_STATE_HOME/heliograph/NAME.tasks", "the tasks of a server that has no --spooler"),
)


def page(command: click.Command = heliograph) -> str:
    """Return the page of a command and its subcommands, in the man macros."""
    context = click.Context(command, info_name=command.name)
    lines = [
        f'.TH "{(command.name or "").upper()}" "1" "" "heliograph" "User Commands"',
        ".SH NAME",
        f"{command.name} \\- signals, tasks and schedules for Python web applications",
        ".SH SYNOPSIS",
        f"{_bold(command.name or '')} {_escaped(' '.join(command.collect_usage_pieces(context)))}",
        ".SH DESCRIPTION",
        *_paragraphs(command.help or ""),
        ".SH COMMANDS",
    ]
    for name, sub in _commands(command, context):
        lines += [*_section(name, sub)]
    lines += [".SH FILES", *(line for name, text in _FILES for line in (".TP", _bold(name), _escaped(text)))]
    lines += [".SH EXAMPLES", *_paragraphs(command.epilog or "")]
    return "\n".join(lines) + "\n"


def _commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Context]]:
    """Yield the subcommands with their full names, and those of groups after their group."""
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        sub = command.get_command(context, name)
        if sub is not None and not sub.hidden:
            below = click.Context(sub, info_name=name, parent=context)
            yield below.command_path, below
            yield from _commands(sub, below)


def _section(name: str, context: click.Context) -> Iterator[str]:
    command = context.command
    yield f'.SS "{name} {_escaped(" ".join(command.collect_usage_pieces(context)))}"'
    yield from _paragraphs(command.help or "")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1] and "--help" not in parameter.opts:
            yield ".TP"
            yield _bold(record[0])
            yield _escaped(record[1])
    if command.epilog:
        yield from _paragraphs(command.epilog)


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text. Those after `\\b` keep their lines."""
    for paragraph in re.split(r"\n\s*\n", click.unstyle(text).strip()):
        lines = paragraph.strip("\n").splitlines()
        if lines and lines[0].strip() == "\b":
            yield from (".PP", ".nf", *(_escaped(line) for line in lines[1:]), ".fi")
        elif lines:
            yield from (".PP", _escaped(" ".join(line.strip() for line in lines)))


def _bold(text: str) -> str:
    return f"\\fB{_escaped(text)}\\fR"


def _escaped(text: str) -> str:
    """Return a text that roff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def write(file: Path) -> None:
    """Write the page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page())


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE)
