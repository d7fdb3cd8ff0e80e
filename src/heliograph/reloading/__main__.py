"""The process that watches the files. The master starts it, see `server.commands`."""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from itertools import chain
from pathlib import Path

from heliograph.engines import MASTER_ENV
from heliograph.ipc.process_title import set_process_title
from heliograph.reloading.options import OPTIONS_ENV, ReloaderOptions
from heliograph.reloading.requests import loaded_at, reason_for, reload_in_thread
from heliograph.reloading.watcher import changes
from heliograph.settings.logs import configure_logging

_LOG = logging.getLogger("heliograph.reloader")

_STARTED = "Reloading when %s change in %s (for development)"
_CANNOT_WATCH = (
    "Cannot watch the files: %s. If the system's limit is used up, raise it (sysctl fs.inotify.max_user_watches and "
    "fs.inotify.max_user_instances), or watch fewer directories with --reload-dir"
)


def main() -> None:
    """Watch the files until the master ends this process."""
    options = ReloaderOptions.from_json(os.environ[OPTIONS_ENV])
    set_process_title("heliograph: reloader")
    configure_logging(options.log_level, Path(options.log_config) if options.log_config else None)
    from watchfiles import watch  # noqa: PLC0415 - an extra. `settings.make` has found it

    logging.getLogger("watchfiles").setLevel(logging.WARNING)

    control, directory = Path(os.environ[MASTER_ENV]), Path.cwd()
    try:
        found = changes(watch, options.roots, options.patterns, partial(loaded_at, control))
        first = next(found)
        _LOG.info(_STARTED, " and ".join(options.patterns), ", ".join(options.directories))
        for changed in chain([first] if first else [], found):
            reload_in_thread(control, reason_for(changed, directory))
    except OSError as error:
        _LOG.error(_CANNOT_WATCH, error)
        sys.exit(1)


if __name__ == "__main__":
    main()
