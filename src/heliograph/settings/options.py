"""The table of options of a server, and the value that a server is started with.

Each field of a class of options that is made with `option()` is one row of the table. The command `heliograph run`, the
environment variables, the checks of `serve()` and docs/reference/{command,environment}.md are made from the rows.

To add an option, add one field to the class of its subject, use its value, and run `make reference`. If `serve()` is to
have it too, add a keyword to its signature as well (a test compares them), otherwise write `keyword=False`.

`settings.origins` decides which value of an option holds.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from heliograph.application import AppSpec
from heliograph.models import Topology
from heliograph.settings.address_options import AddressOptions
from heliograph.settings.commands import Command
from heliograph.settings.development_options import DevelopmentOptions
from heliograph.settings.log_options import LogOptions
from heliograph.settings.option_row import options_of
from heliograph.settings.option_types import WorkerRange
from heliograph.settings.page_options import PageOptions
from heliograph.settings.process_options import ProcessOptions
from heliograph.settings.task_options import TaskOptions


@dataclass(frozen=True)
class ServerSettings(DevelopmentOptions, PageOptions, LogOptions, AddressOptions, TaskOptions, ProcessOptions):
    """Settings of a server. Its values are checked (see `settings.make`).

    The rows of the table are in the order of the classes, the last one first.
    """

    app: AppSpec
    _: KW_ONLY
    command: tuple[str, ...] = ()
    """Arguments after `--`: the command of a web server, or uWSGI's own options."""
    commands: tuple[Command, ...] = ()
    """Programs that the server runs besides."""
    expected_workers: int | None = None
    """Number of processes that the command of a web server starts. None without one."""

    @property
    def topology(self) -> Topology:
        """The processes of the server."""
        workers = 1 if self.workers is None else self.workers
        least, most = workers if isinstance(workers, WorkerRange) else (None, workers)
        return Topology(most, self.mules, self.farms, spoolers=int(self.spooler is not None), min_workers=least)


OPTIONS = options_of(ServerSettings)
"""All options."""
