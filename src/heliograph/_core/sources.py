"""Sources as text, to cross from the process that loads the application to the one that raises its signals."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from heliograph.values import CronRule, FileMonitor, Source, Timer

_KINDS: dict[str, type[Timer | CronRule | FileMonitor]] = {
    kind.__name__: kind for kind in (Timer, CronRule, FileMonitor)
}


def to_json(sources: Iterable[Source]) -> str:
    """All of them, one text."""
    return json.dumps([{**asdict(source), "kind": type(source.what).__name__} for source in sources])


def from_json(text: str) -> list[Source]:
    """What `to_json` wrote; none from an empty text."""
    facts: list[dict[str, Any]] = json.loads(text) if text else []
    return [_source(**fact) for fact in facts]


def in_words(what: Timer | CronRule | FileMonitor) -> str:
    """For people: `every 0.5 s`, `0 3 * * * Europe/Berlin`, `changes of /etc/prices`."""
    if isinstance(what, Timer):
        return f"every {what.period:g} s" + (f", {what.repeat} times" if what.repeat else "")
    if isinstance(what, CronRule):
        return f"{what.minute} {what.hour} {what.day} {what.month} {what.weekday} {what.tz}".rstrip()
    return f"changes {'under' if what.recursive else 'of'} {what.path}"


def _source(kind: str, what: dict[str, Any], **rest: Any) -> Source:
    return Source(what=_KINDS[kind](**what), **rest)
