"""Errors of the command: one line on standard error and an exit code, no traceback."""

from __future__ import annotations

import click


class CommandError(click.ClickException):
    """The command failed. The exit code is 2, as for wrong usage."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class Rejected(CommandError):
    """The server refused the request."""

    exit_code = 1
