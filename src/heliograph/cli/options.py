"""Make the options of a click command from the table of options."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from heliograph.cli.errors import CommandError
from heliograph.settings.option_types import Flag
from heliograph.settings.options import Option


class _Value(click.ParamType[Any]):
    """Reads a value as its type in the table does."""

    def __init__(self, metavar: str) -> None:
        self.name = metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value. Raises `CommandError` with the flag or variable, the text and the reason if it is none."""
        return _read(value, param, ctx)


class _Flag(click.types.BoolParamType):
    """A flag, whose variable is read as the type in the table does."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """Return the value. Raises `CommandError` if the variable has another one."""
        return value if isinstance(value, bool) else bool(_read(value, param, ctx))


def _read(value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
    assert isinstance(param, TableOption)
    assert ctx is not None
    try:
        return param.row.type.from_text(str(value))
    except (ValueError, TypeError) as error:
        label = param.label(ctx)
        raise CommandError(f"{label}{' ' if label == param.row.flag else '='}{value}: {error}") from error


class TableOption(click.Option):
    """An option of a command, made from a row of the table. It has no default, since `ServerSettings` has it."""

    def __init__(self, row: Option) -> None:
        takes_value = not isinstance(row.type, Flag)
        self.row = row
        super().__init__(
            [row.flag, *row.aliases, row.name],
            type=_Value(row.metavar) if takes_value else _Flag(),
            is_flag=None if takes_value else True,
            multiple=row.repeatable,
            metavar=row.metavar or None,
            envvar=row.variable,
            help=help_line(row),
        )

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return the flag without its aliases, and the line of help."""
        del ctx
        return f"{self.row.flag} {self.row.metavar}".strip(), help_line(self.row)

    def label(self, ctx: click.Context) -> str:
        """Return the spelling that the user sees: the flag or the environment variable."""
        from_variable = ctx.get_parameter_source(self.row.name) is ParameterSource.ENVIRONMENT
        return self.row.variable if from_variable else self.row.flag


def help_line(row: Option) -> str:
    """Return the help of an option, with its default."""
    return f"{row.help} [default: {row.default_text}]" if row.default_text else f"{row.help}."
