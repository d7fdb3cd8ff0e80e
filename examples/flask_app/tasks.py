"""Signals and their handlers, and a task. The heliograph server and every web worker import this module."""

from __future__ import annotations

import csv
import os
from datetime import UTC, datetime
from pathlib import Path

from heliograph import Signal, engines, register_cron, task

DIRECTORY = Path(os.environ.get("SHOP_DIRECTORY", "."))
PRICE_LIST, REPORT = DIRECTORY / "prices.csv", DIRECTORY / "report.txt"

PRICES: dict[str, float] = {}
"""Prices in the memory of this process. Pages need no lookup."""

refresh = Signal()
report = Signal()


@refresh.register_handler("workers")
def read_prices() -> None:
    """Read the price list, in every web worker."""
    if PRICE_LIST.exists():
        with PRICE_LIST.open(newline="") as lines:
            PRICES.update((name, float(price)) for name, price in csv.reader(lines))
    print(f"{engines.current().identity}: {len(PRICES)} prices\n", end="", flush=True)


@report.register_handler("mule1")
def write_report() -> None:
    """Write the report, in the mule. No request waits for it."""
    read_prices()  # the mule has its own copy
    lines = [f"{name}: {price:.2f}\n" for name, price in sorted(PRICES.items())]
    unfinished = REPORT.with_suffix(".part")
    unfinished.write_text(f"{datetime.now(UTC):%Y-%m-%d} by {engines.current().identity}\n{''.join(lines)}")
    unfinished.replace(REPORT)


@task(retries=5, backoff=10)
def confirm_order(what: str, to: str) -> str:
    """Mail a confirmation, in the spooler. The task is stored, so it survives every restart."""
    read_prices()  # the spooler has its own copy
    text = f"mail to {to}: you have ordered {what} for {PRICES[what]:.2f}"
    print(f"{engines.current().identity}: {text}\n", end="", flush=True)
    return text


@register_cron("0 3 * * *", tz="Europe/Berlin", name="nightly", misfire_grace=3600)
def close_the_day() -> None:
    """Request the report every night at three, in one web worker."""
    report.send()


read_prices()
