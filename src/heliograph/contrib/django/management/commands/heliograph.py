"""`manage.py heliograph`: the `heliograph` command, for the server of this project."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser

APPLICATION = "heliograph.contrib.django.project"
"""The application of `run`: the project of DJANGO_SETTINGS_MODULE."""

_WITH_APPLICATION = ("run", "config")
"""Commands that take an application."""

WRONG_USAGE = 2
"""Exit code of `heliograph` for wrong usage."""


class Command(BaseCommand):
    """Passes its arguments to `heliograph`. On the command line, this process becomes that command."""

    help = (
        "Run heliograph with this project as the application: run, config, signals, reload, stop, send, tasks, enqueue."
    )

    def run_from_argv(self, argv: list[str]) -> NoReturn:
        # The master must not load the project, and it must get the Unix signals sent to this process.
        try:
            command = _command(argv[2:])
        except CommandError as error:
            sys.stderr.write(f"Error: {error}\n")
            sys.exit(WRONG_USAGE)
        os.execve(command[0], command, _environment())  # noqa: S606 - the arguments are not parsed by a shell

    def print_help(self, prog_name: str, subcommand: str) -> NoReturn:
        """Handle `manage.py help heliograph`."""
        self.run_from_argv([prog_name, subcommand, "--help"])

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("arguments", nargs=argparse.REMAINDER)

    def handle(self, *_args: object, arguments: Sequence[str], **_options: object) -> None:
        """Handle `call_command("heliograph", "reload")`.

        Raises:
            CommandError: The exit code is not 0.
        """
        code = subprocess.call(_command(arguments), env=_environment())  # noqa: S603
        if code:
            raise CommandError(f"heliograph {' '.join(arguments)} failed: exit code {code}", returncode=code)


def _command(arguments: Sequence[str]) -> list[str]:
    if arguments and arguments[0] in _WITH_APPLICATION:
        if len(arguments) > 1 and not arguments[1].startswith("-"):
            raise CommandError(
                f"unexpected application: {arguments[1]!r}. Leave it out: `{arguments[0]}` is for this project.",
                returncode=WRONG_USAGE,
            )
        arguments = [arguments[0], APPLICATION, *arguments[1:]]
    return [sys.executable, "-m", "heliograph", *arguments]


def _environment() -> dict[str, str]:
    """Return the environment of the command. It can import the modules of the directory of manage.py."""
    path = [sys.path[0], os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
