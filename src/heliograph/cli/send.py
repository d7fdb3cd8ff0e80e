"""`heliograph send`: send a signal to a running server from another process."""

from __future__ import annotations

import click

from heliograph.cli.errors import CommandError, Rejected
from heliograph.cli.selection import selection
from heliograph.cli.server_commands import find_server, server_options
from heliograph.exceptions import RemoteRejected
from heliograph.ipc.control_client import RequestFailed
from heliograph.remote import send_signal, send_to

_HELP = """Send a signal to a running server.

SIGNAL is a name, a number (0-255) or the handler as module:function. The signal goes to the heliograph server of this
directory, or to that of --name.

With REMOTE, signal number SIGNAL goes to the server at that address: HOST:PORT, [IPV6]:PORT or the path of a Unix
socket where a server speaks the uwsgi protocol: the --socket of a heliograph server or of uWSGI, not its --http.
"""

_EXAMPLES = """\b
Examples:
  heliograph send refresh-prices
  heliograph send shop.tasks:refresh --name shop
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
@click.argument("signal")
@click.argument("remote", required=False)
@click.option("--timeout", type=float, default=5.0, show_default=True, metavar="S", help="Seconds for the exchange.")
@server_options
def send(signal: str, remote: str | None, timeout: float, verbose: bool) -> None:
    """Send a signal, and exit with the code that says how it went."""
    if remote is None:
        _send_by_name(signal, timeout, verbose=verbose)
        return
    try:
        send_signal(_number(signal), remote, timeout)
    except RemoteRejected as error:
        raise Rejected(str(error)) from error
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from error
    click.echo(f"{remote} accepted signal {signal}", err=True)


def _send_by_name(signal: str, timeout: float, *, verbose: bool) -> None:
    with find_server(verbose=verbose) as path:
        try:
            number = send_to(signal, timeout=timeout, control=path)
        except RequestFailed as error:
            raise Rejected(str(error)) from error
    click.echo(f"{selection().name or path.stem} accepted signal {number}", err=True)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise CommandError(
            f"not a signal number: {text!r}. Use 0 to 255, or leave out REMOTE to send by name."
        ) from None
