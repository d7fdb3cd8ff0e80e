"""Import the web application before a reload, so that the web server keeps the old code if the new code is broken.

The import happens in a child of the fork server that exits afterwards. The child registers signals and sends none.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from heliograph import engines
from heliograph.application import AppSpec, explain, is_missing, load, run_in_child
from heliograph.ipc.prctl import set_parent_death_signal
from heliograph.models import Topology

_FAILED = "cannot import the web application {}. If the web server can, use `heliograph run --no-web-check`:\n{}"


def check_web_application(command: Sequence[str], topology: Topology) -> str | None:
    """Return the reason if the application that a web server's command names cannot be imported, else None."""
    parent = os.getpid()

    def work() -> str:
        set_parent_death_signal(parent, signal.SIGKILL)
        _silence()
        return _failure(command, topology)

    result = run_in_child(work)
    ended = f"importing the web application ended the process ({result.how})" if result.code else None
    return result.text or ended


def _failure(command: Sequence[str], topology: Topology) -> str:
    from heliograph.engines.checking import CheckingEngine  # noqa: PLC0415 - the fork server does not need them
    from heliograph.settings.web_application import web_application  # noqa: PLC0415

    app = web_application(command, os.environ)
    if not app:
        return ""
    try:
        with engines.using(CheckingEngine(topology)):
            load(AppSpec.parse(app, Path.cwd()))
            _load_urls_of_django()
    except BaseException as error:  # noqa: BLE001 - SystemExit too: it would end the web server as well
        # A module that is missing here may be in a place that only the web server knows.
        return "" if is_missing(error, app) else _FAILED.format(app, explain(error, app))
    return ""


def _load_urls_of_django() -> None:
    """Import the URLs and views of a project of Django, which are imported at the first request otherwise."""
    conf = sys.modules.get("django.conf")
    if conf is not None and conf.settings.configured and (urls := getattr(conf.settings, "ROOT_URLCONF", None)):
        importlib.import_module(urls)


def _silence() -> None:
    """Discard what the import prints: the web server prints it again."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    sys.stdout = sys.stderr = os.fdopen(nowhere, "w", encoding="utf-8")
