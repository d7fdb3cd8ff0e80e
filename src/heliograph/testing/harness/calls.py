"""Functions and messages of the application under test that have the names of `uwsgiconf`."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from heliograph import uwsgi
from heliograph.runtime.mules import Farm, Mule, mule_offload
from heliograph.runtime.spooler import ResultRescheduled, ResultSkipped, Spooler, SpoolerTask
from heliograph.testing.harness.tasks import DIRECTORY, append_line


def _is_first(text: str) -> bool:
    """Return True if this text comes for the first time."""
    try:
        (DIRECTORY / f"first {text}".replace(" ", "-")).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@Spooler.task()
def spooled(text: str, price: Decimal = Decimal(1)) -> object:
    """Write a line. A value that is returned ends the task."""
    append_line(f"{text} {price}")
    return ResultSkipped(price)


@Spooler.task(allow_pickle=True)
def spooled_by_pickle(things: set[str]) -> None:
    """Write a line for each thing."""
    for thing in sorted(things):
        append_line(thing)


@Spooler.task()
def failing_once(text: str) -> None:
    """Fail the first time."""
    append_line(text)
    if _is_first(text):
        raise LookupError(text)


@Spooler.task
def returning_retry_once(text: str) -> int:
    """Return uWSGI's code for another attempt the first time."""
    append_line(text)
    return uwsgi.SPOOL_RETRY if _is_first(text) else uwsgi.SPOOL_OK


@Spooler.task(priority=5)
def later(text: str) -> None:
    """Run after others."""
    append_line(text)


@Spooler.task(priority=-5)
def earlier(text: str) -> None:
    """Run before others."""
    append_line(text)


@mule_offload()
def in_first_mule(text: str) -> None:
    """Run in mule 1, which is the default."""
    append_line(text)


@Mule(2).offload()
async def in_second_mule(text: str) -> None:
    """Run in mule 2."""
    append_line(text)


@Farm("crunchers").offload(allow_pickle=True)
def in_farm(things: set[str]) -> None:
    """Run in a mule of the farm."""
    append_line(" ".join(sorted(things)))


class Note(SpoolerTask):
    """A message whose text is written to the journal."""

    __slots__ = ()

    type_id = "harness"

    def process(self) -> object:  # type: ignore[override]
        """Write a line. With `again` the message is processed twice."""
        append_line(self.payload["text"], self.name)
        if self.payload.get("again") and _is_first(self.payload["text"]):
            return ResultRescheduled()
        return self.mark_processed()


CALLS: dict[str, Callable[..., Any]] = {
    "spooled": spooled,
    "spooled_by_pickle": spooled_by_pickle,
    "failing_once": failing_once,
    "returning_retry_once": returning_retry_once,
    "later": later,
    "earlier": earlier,
    "in_first_mule": in_first_mule,
    "in_second_mule": in_second_mule,
    "in_farm": in_farm,
}
