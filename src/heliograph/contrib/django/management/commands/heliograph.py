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
"""What `run` runs: this project, found by DJANGO_SETTINGS_MODULE."""


class Command(BaseCommand):
    """Hands its arguments on. From the command line this process becomes that command, with its exit code."""

    help = (
        "Runs heliograph with this project as the application: heliograph run, signals, schedule, reload, stop, send."
    )

    def run_from_argv(self, argv: list[str]) -> NoReturn:
        # The master shall not have the project loaded, and shall get signals that are sent to this process.
        command = _command(argv[2:])
        os.execve(command[0], command, _environment())  # noqa: S606 - our own, no shell

    def print_help(self, prog_name: str, subcommand: str) -> NoReturn:
        """`manage.py help heliograph`."""
        self.run_from_argv([prog_name, subcommand, "--help"])

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("arguments", nargs=argparse.REMAINDER)

    def handle(self, *_args: object, arguments: Sequence[str], **_options: object) -> None:
        """`call_command("heliograph", "reload")`. Raises `CommandError` for an exit code that is not 0."""
        code = subprocess.call(_command(arguments), env=_environment())  # noqa: S603
        if code:
            raise CommandError(f"heliograph {' '.join(arguments)}: exit code {code}", returncode=code)


def _command(arguments: Sequence[str]) -> list[str]:
    if arguments[:1] == ["run"]:
        arguments = ["run", APPLICATION, *arguments[1:]]
    return [sys.executable, "-m", "heliograph", *arguments]


def _environment() -> dict[str, str]:
    """What is importable here is so there: manage.py need not lie in the current directory."""
    path = [sys.path[0], os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
