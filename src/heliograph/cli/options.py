"""Make the options of a click command from the table of options."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from heliograph.settings.option_row import Option
from heliograph.settings.option_types import Flag


class TableOption(click.Option):
    """An option of a command, made from a row of a table. Its value is the text that was given.

    It has no variable and no default, since `settings.origins` looks there.
    """

    def __init__(self, row: Option, **attributes: Any) -> None:
        takes_value = not isinstance(row.type, Flag)
        self.row = row
        spellings = [row.flag, *row.aliases] if takes_value else [f"{row.flag}/--no-{row.flag[2:]}"]
        super().__init__(
            [*spellings, row.name],
            type=str if takes_value else None,
            is_flag=None if takes_value else True,
            default=None,
            multiple=row.repeatable,
            metavar=row.metavar or None,
            help=help_line(row),
            **attributes,
        )

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return the flag without its aliases, and the line of help."""
        del ctx
        return f"{self.row.flag} {self.row.metavar}".strip(), help_line(self.row)


def given_flags(ctx: click.Context) -> dict[str, Any]:
    """Return the options of a table that stand on the command line, by their names."""
    options = [param for param in ctx.command.params if isinstance(param, TableOption)]
    names = [option.row.name for option in options]
    return {name: ctx.params[name] for name in names if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}


def help_line(row: Option) -> str:
    """Return the help of an option, with its default."""
    return f"{row.help} [default: {row.default_text}]" if row.default_text else f"{row.help}."
