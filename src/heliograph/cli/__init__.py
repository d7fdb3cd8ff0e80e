"""The `heliograph` command: start a server, control it, and send signals to it."""

import click

from heliograph import __version__
from heliograph.cli.config import config
from heliograph.cli.run import run
from heliograph.cli.send import send
from heliograph.cli.server_commands import list_servers, reload, schedule, signals, stop
from heliograph.cli.stack import stack
from heliograph.cli.status import status
from heliograph.cli.tasks import tasks
from heliograph.cli.tasks.enqueueing import enqueue
from heliograph.cli.top import top

_HELP = "Run the signal handlers of a Python application: in a web worker, in all of them, or in a background process."

_EXAMPLES = """\b
Examples:
  heliograph run shop.tasks --workers 2 --mules 2    start a server
  heliograph signals                                 show its signals and their counters
  heliograph top                                     watch it: processes, signals, tasks, problems
  heliograph reload                                  load new code, without losing a signal
  heliograph stop
  heliograph run shop.wsgi:app --engine uwsgi --http 127.0.0.1:8000
  heliograph send refresh-prices                     send a signal from another process
  heliograph enqueue shop.tasks:send_mail '["a@example.org"]'
  heliograph tasks --status failed                   show the tasks that have failed
"""

main = click.Group(
    "heliograph",
    commands=[run, config, send, signals, schedule, reload, stop, list_servers, status, stack, top, tasks, enqueue],
    help=_HELP,
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
click.version_option(__version__, prog_name="heliograph")(main)

__all__ = ["main"]
