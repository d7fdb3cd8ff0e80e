"""Handlers, triggers and tasks that the pages name."""

from heliograph import Signal, register_cron, register_timer, task

refresh_prices = Signal(name="refresh-prices")
report = Signal(17)


@refresh_prices.register_handler("workers")
def refresh() -> None:
    """Read the prices again."""


@report.register_handler("worker")
def write_report() -> None:
    """Write the report."""


@register_timer(6 * 3600, name="clean", target="worker")
def clean() -> None:
    """Remove what is old."""


@register_cron("0 3 * * *", tz="Europe/Berlin", name="nightly", target="worker")
def nightly() -> None:
    """Close the day."""


@task(retries=2, retry_on=ConnectionError)
def send_mail(to: str, subject: str, at: str = "") -> str:
    """Send a mail. `nobody` has no address."""
    if to == "nobody":
        raise LookupError("no such address")
    return "sent"


@task
def clean_up() -> None:
    """Remove what is old."""
