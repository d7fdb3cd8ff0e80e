"""Log lines about the whole server."""

import logging
from pathlib import Path

import pytest

from heliograph.application import AppSpec
from heliograph.server.dispatcher import Dispatcher, make_supervisor
from heliograph.server.progress import log_progress
from heliograph.settings.options import ServerSettings

GUNICORN = ("gunicorn", "-w", "2", "shop:app")
RSS = "--max-rss does not apply to the processes of the web server. Use its own option, --max-requests"
BOTH = "--max-rss and --max-age do not apply to the processes of the web server. Use its own option"
LINES = {
    "no limit": ({"command": GUNICORN}, []),
    "no web server": ({"max_rss": 200 << 20}, []),
    "no other processes": ({"command": GUNICORN, "max_rss": 200 << 20}, [(logging.WARNING, RSS)]),
    "other processes": ({"command": GUNICORN, "max_rss": 200 << 20, "mules": 1}, [(logging.INFO, RSS)]),
    "a spooler": ({"command": GUNICORN, "max_rss": 200 << 20, "spooler": Path("s")}, [(logging.INFO, RSS)]),
    "both, and an unknown web server": (
        {"command": ("serve",), "max_rss": 200 << 20, "max_age": 60.0},
        [(logging.WARNING, BOTH)],
    ),
}


@pytest.mark.parametrize(("settings", "lines"), LINES.values(), ids=LINES)
def test_limits_do_not_apply_to_a_web_server(settings, lines, caplog):
    """It is a warning if the limits have no effect at all."""
    caplog.set_level(logging.INFO, "heliograph.master")
    made = ServerSettings(AppSpec("tasks"), workers=1, **settings)
    log_progress(Dispatcher(make_supervisor(made)), made)
    assert [(record.levelno, record.message) for record in caplog.records] == lines
