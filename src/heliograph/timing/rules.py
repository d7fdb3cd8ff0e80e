"""When a cron rule fires next, in its own zone."""

from __future__ import annotations

from heliograph.models import CronRule


def next_fire(rule: CronRule, after: float) -> float:
    """The next time, in seconds since 1970, after `after` at which the rule fires."""
    from heliograph._core.schedule.cron import next_fire as next_in  # noqa: PLC0415 - only who has rules pays for them
    from heliograph.timing.zones import zone_named  # noqa: PLC0415

    return next_in(rule, after, zone_named(rule.tz))
