"""`heliograph send`: send a signal to a running server from another process."""

from __future__ import annotations

import click

from heliograph.cli.errors import CommandError, Rejected
from heliograph.exceptions import RemoteRejected
from heliograph.remote import send_signal

_HELP = """Send signal NUMBER (0-255) to the server at REMOTE.

REMOTE is HOST:PORT, [IPV6]:PORT or the path of a Unix socket where a server speaks the uwsgi protocol: the --socket of
a heliograph server or of uWSGI, not its --http.
"""

_EXAMPLES = """\b
Examples:
  heliograph send 17 127.0.0.1:3031
  heliograph send 17 [::1]:3031
  heliograph send 17 /run/shop/uwsgi.sock --timeout 0.5

\b
Exit codes:
  0  the server accepted the signal
  1  the server rejected the signal
  2  the server was not reached in time, or wrong usage
"""


@click.command(help=_HELP, short_help="Send a signal to a server.", epilog=_EXAMPLES)
@click.argument("number", type=int)
@click.argument("remote")
@click.option("--timeout", type=float, default=5.0, show_default=True, metavar="S", help="Seconds for the exchange.")
def send(number: int, remote: str, timeout: float) -> None:
    """Send a signal, and exit with the code of its result."""
    try:
        send_signal(number, remote, timeout)
    except RemoteRejected as error:
        raise Rejected(str(error)) from error
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from error
    click.echo(f"{remote} accepted signal {number}", err=True)
