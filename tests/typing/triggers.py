"""The decorators of triggers keep the types of functions. mypy and pyright check this file. It does not run."""

from datetime import datetime
from pathlib import Path
from typing import assert_type

from heliograph import Farm, Mule, Signal
from heliograph.models import At, CronRule, FileMonitor, Timer, Trigger
from heliograph.runtime.monitoring import register_file_monitor
from heliograph.runtime.scheduling import (
    NextRun,
    change_period,
    get_triggers,
    next_runs,
    register_cron,
    register_timer,
    register_timer_ms,
    register_timer_rb,
    unregister_trigger,
)

# A function comes back as what it was: its parameters, what it returns, and whether it is asynchronous.


@register_timer(10)
def plain() -> str:
    return ""


@register_timer_rb(0.5, repeat=3, target="mule1")
def with_number(num: int) -> bytes:
    return bytes(num)


@register_timer_ms(250, target=Mule(2), jitter=0.5, coalesce=False, misfire_grace=None)
async def asynchronous(num: int) -> float:
    return num / 2


@register_cron("0 3 * * mon-fri", tz="Europe/Berlin", target=Farm("crunchers"), name="nightly")
@register_cron(weekday="mon-fri", month=-2, day=1, hour="10-18/2", minute=0, checker=lambda: 1, time_limit=5)
def stacked() -> list[int]:
    return []


@register_file_monitor("prices.csv", target=Signal(5), recursive=True, missing_ok=True, settle=0.5)
@register_file_monitor(Path("prices.csv"), target=2)
def watching(num: int = 0) -> int:
    return num


assert_type(plain(), str)
assert_type(with_number(1), bytes)
assert_type(stacked(), list[int])
assert_type(watching(), int)


async def awaited() -> None:
    """Show that an async handler can still be awaited."""
    assert_type(await asynchronous(1), float)


plain(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
with_number("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# An object that cannot be called is no handler.

register_timer(10)(5)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
register_cron(hour=3)("handler")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


# Options are known by name and type.

register_timer("10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
register_timer(10, repeat=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
register_timer(10, jiter=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
register_timer(10, jitter=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
register_timer(10, coalesce=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
register_timer(10, target=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
register_timer(10, checker=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
register_timer_rb(10, 3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
register_cron(hour=3.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
register_cron(tz=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
register_file_monitor(b"prices.csv")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Types of the results.

assert_type(get_triggers(), tuple[Trigger, ...])
assert_type(get_triggers()[0].spec, Timer | CronRule | FileMonitor | At)
assert_type(next_runs(5), list[NextRun])
assert_type(next_runs(5)[0].when, datetime)
unregister_trigger("nightly")
change_period("nightly", 5)
