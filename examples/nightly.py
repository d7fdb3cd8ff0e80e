"""What a shop does by itself: something each night, something every six hours, something when a file changes.

    heliograph run examples/nightly.py --workers 2 --mules 1 --spooler spool

With FAST=1 in the environment a night comes every minute, and six hours are two seconds. The file is `prices.csv`, in
the directory that the server is started in.
"""

from __future__ import annotations

import os
from pathlib import Path

from heliograph import Signal, engines
from heliograph.runtime.monitoring import register_file_monitor
from heliograph.runtime.scheduling import register_cron, register_timer, register_timer_rb

PRICES = Path("prices.csv")
NIGHT, SIX_HOURS = ("* * * * *", 2) if os.environ.get("FAST") else ("0 3 * * *", 6 * 3600)

report = Signal()


@register_cron(NIGHT, tz="Europe/Berlin", name="nightly", misfire_grace=3600)
def close_the_day() -> None:
    """In whichever worker is free; an hour late is too late."""
    say("the day is closed")
    report.send()


@report.register_handler("spooler")
def write_report() -> None:
    """What takes long is left to the spooler."""
    say("the report is written")


@register_timer(SIX_HOURS, target="mule1", name="clean")
def clean_baskets() -> None:
    """In mule 1, as long as the server runs."""
    say("baskets are clean")


@register_timer_rb(1, repeat=1, target="mule1", name="warm up")
def warm_up() -> None:
    """Once, a second after the start."""
    say("warm")


@register_file_monitor(PRICES, target="workers", missing_ok=True, name="prices")
def read_prices() -> None:
    """In every worker, since each has prices of its own."""
    say(f"{len(PRICES.read_text().splitlines()) if PRICES.exists() else 0} prices")


def say(what: str) -> None:
    """One line, with who says it."""
    # The end of the line with it, in one piece: others write to the same place.
    print(f"{engines.current().identity}: {what}\n", end="", flush=True)
