"""The `heliograph` command: run an application under a server, raise signals on a running one."""

import click

from heliograph import __version__
from heliograph.cli.run import run
from heliograph.cli.send import send

_EXAMPLES = """\b
Examples:
  heliograph run shop.tasks --workers 2                    signals only, no HTTP
  heliograph run shop.wsgi:app --http 127.0.0.1:8000       a WSGI application
  heliograph run shop/app.py --mules 2 --farm crunchers=1,2
  heliograph send 17 127.0.0.1:3031                        from any other process
"""


@click.group(epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="heliograph")
def main() -> None:
    """Signals for Python applications: raise a number anywhere, run a function in a worker, mule, farm or spooler."""


main.add_command(run)
main.add_command(send)

__all__ = ["main"]
