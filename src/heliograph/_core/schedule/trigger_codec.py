"""Triggers as JSON, to pass them from the process that loads the application to the process that sends the signals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from heliograph.models import At, CronRule, FileMonitor, Timer, Trigger

_KINDS: dict[str, type[Timer | CronRule | FileMonitor]] = {
    kind.__name__: kind for kind in (Timer, CronRule, FileMonitor)
}


def to_json(triggers: Iterable[Trigger]) -> str:
    """Encode triggers."""
    import json  # noqa: PLC0415 - every application imports this module, and few processes call this

    return json.dumps([{**asdict(trigger), "kind": type(trigger.spec).__name__} for trigger in triggers])


def from_json(text: str) -> list[Trigger]:
    """Decode what `to_json` returned. An empty text has no triggers."""
    import json  # noqa: PLC0415 - as above

    facts: list[dict[str, Any]] = json.loads(text) if text else []
    return [_trigger(**fact) for fact in facts]


def describe_trigger(spec: Timer | CronRule | FileMonitor | At) -> str:
    """Describe a trigger for the status output: `every 0.5 s`, `0 3 * * * UTC`, `changes of /etc/prices`."""
    if isinstance(spec, Timer):
        if spec.repeat == 1:
            return f"once, after {spec.period:g} s"
        return f"every {spec.period:g} s" + (f", {spec.repeat} times" if spec.repeat else "")
    if isinstance(spec, CronRule):
        return f"{spec.minute} {spec.hour} {spec.day} {spec.month} {spec.weekday} {spec.tz}".rstrip()
    if isinstance(spec, At):
        return f"once, {spec.when:.0f} s after 1970"
    return f"changes {'under' if spec.recursive else 'of'} {spec.path}"


def _trigger(kind: str, spec: dict[str, Any], **rest: Any) -> Trigger:
    return Trigger(spec=_KINDS[kind](**spec), **rest)
