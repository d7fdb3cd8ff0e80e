"""What happens at signals. Imported by the server, and by every process that serves pages."""

from __future__ import annotations

import csv
import os
from datetime import UTC, datetime
from pathlib import Path

from heliograph import Signal, engines
from heliograph.runtime.scheduling import register_cron

DIRECTORY = Path(os.environ.get("SHOP_DIRECTORY", "."))
PRICE_LIST, REPORT = DIRECTORY / "prices.csv", DIRECTORY / "report.txt"

PRICES: dict[str, float] = {}
"""Of this process: pages look nothing up in a file or a database."""

refresh = Signal()
report = Signal()


@refresh.register_handler("workers")
def read_prices() -> None:
    """In every web process, since each has prices of its own."""
    if PRICE_LIST.exists():
        with PRICE_LIST.open(newline="") as lines:
            PRICES.update((name, float(price)) for name, price in csv.reader(lines))
    print(f"{engines.current().identity}: {len(PRICES)} prices\n", end="", flush=True)


@report.register_handler("mule1")
def write_report() -> None:
    """In the mule: it may take its time, no page waits for it."""
    read_prices()  # a mule has a memory of its own, too
    lines = [f"{name}: {price:.2f}\n" for name, price in sorted(PRICES.items())]
    unfinished = REPORT.with_suffix(".part")
    unfinished.write_text(f"{datetime.now(UTC):%Y-%m-%d} by {engines.current().identity}\n{''.join(lines)}")
    unfinished.replace(REPORT)


@register_cron("0 3 * * *", tz="Europe/Berlin", name="nightly", misfire_grace=3600)
def close_the_day() -> None:
    """At three, in whichever web process is free."""
    report.send()


read_prices()
