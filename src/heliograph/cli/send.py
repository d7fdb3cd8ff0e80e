"""`heliograph send`: raise a signal on a running server, from outside."""

from __future__ import annotations

import click

from heliograph.cli.errors import CommandError, Rejected
from heliograph.exceptions import RemoteRejected
from heliograph.remote import send_signal

_EXAMPLES = """\b
Examples:
  heliograph send 17 127.0.0.1:3031
  heliograph send 17 [::1]:3031
  heliograph send 17 /run/shop/uwsgi.sock --timeout 0.5

\b
Exit codes:
  0  the server took the signal
  1  the server rejected it
  2  it could not be reached in time, or bad usage
"""


@click.command(epilog=_EXAMPLES)
@click.argument("number", type=int)
@click.argument("remote")
@click.option("--timeout", type=float, default=5.0, show_default=True, metavar="S", help="Seconds in all.")
def send(number: int, remote: str, timeout: float) -> None:
    """Raise signal NUMBER (0-255) on the server at REMOTE.

    REMOTE is HOST:PORT, or the path of a unix socket: where any server listens that speaks the uwsgi protocol (uWSGI's
    --socket, not its --http).
    """
    try:
        send_signal(number, remote, timeout)
    except RemoteRejected as error:
        raise Rejected(str(error)) from error
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from error
    click.echo(f"{remote} took signal {number}", err=True)
