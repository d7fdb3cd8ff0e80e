"""How a command fails: one line on stderr and an exit code, no traceback."""

from __future__ import annotations

import click


class CommandError(click.ClickException):
    """Bad usage, or what cannot be started or reached; 2 is the exit code that click gives to bad usage as well."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class Rejected(CommandError):
    """Somebody was reached, and said no."""

    exit_code = 1
