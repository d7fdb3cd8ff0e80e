"""The `heliograph` command: run an application under a server, raise signals on a running one."""

import click

from heliograph import __version__
from heliograph.cli.run import run
from heliograph.cli.send import send
from heliograph.cli.server_commands import reload, signals, stop

_EXAMPLES = """\b
Examples:
  heliograph run shop.tasks --workers 2 --mules 2    a server for its signals
  heliograph signals                                 what it handles, and how many
  heliograph reload                                  new code, no signal lost
  heliograph stop
  heliograph run shop.wsgi:app --engine uwsgi --http 127.0.0.1:8000
  heliograph send 17 127.0.0.1:3031                  from any other process
"""


@click.group(epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="heliograph")
def main() -> None:
    """Signals for Python applications: raise a number anywhere, run a function in a worker, mule, farm or spooler."""


main.add_command(run)
main.add_command(send)
main.add_command(signals)
main.add_command(reload)
main.add_command(stop)

__all__ = ["main"]
