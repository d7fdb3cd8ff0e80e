"""A shop with a cron rule, two timers and a file monitor.

    heliograph run examples/nightly.py --workers 2 --mules 1 --spooler spool

Set FAST=1 to run the nightly job every minute and the six-hour job every two seconds. The monitored file is
`prices.csv` in the directory where you start the server.
"""

from __future__ import annotations

import os
from pathlib import Path

from heliograph import (
    Signal,
    engines,
    register_cron,
    register_file_monitor,
    register_timer,
    register_timer_rb,
)

PRICES = Path("prices.csv")
NIGHT, SIX_HOURS = ("* * * * *", 2) if os.environ.get("FAST") else ("0 3 * * *", 6 * 3600)

report = Signal()


@register_cron(NIGHT, tz="Europe/Berlin", name="nightly", misfire_grace=3600)
def close_the_day() -> None:
    """Close the day in one worker, at most an hour late."""
    log("the day is closed")
    report.send()


@report.register_handler("spooler")
def write_report() -> None:
    """Write the report in the spooler, since it takes long."""
    log("the report is written")


@register_timer(SIX_HOURS, target="mule1", name="clean")
def clean_baskets() -> None:
    """Clean the baskets in mule 1, every six hours."""
    log("baskets are clean")


@register_timer_rb(1, repeat=1, target="mule1", name="warm up")
def warm_up() -> None:
    """Warm up once, a second after the start."""
    log("warm")


@register_file_monitor(PRICES, target="workers", missing_ok=True, name="prices")
def read_prices() -> None:
    """Read the prices in every worker, since each has its own copy."""
    log(f"{len(PRICES.read_text().splitlines()) if PRICES.exists() else 0} prices")


def log(what: str) -> None:
    """Print a line with the name of the process."""
    # One write per line: other processes write to the same output.
    print(f"{engines.current().identity}: {what}\n", end="", flush=True)
