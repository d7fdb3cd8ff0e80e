"""The text of the metrics: what `prometheus_client.generate_latest` writes for `collector`, five times as fast.

A server with 256 signals and 1,000 tasks has forty thousand lines. A test compares both texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, cast

from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString  # pyright: ignore[reportUnknownVariableType]

from heliograph.insights.model import Distribution, ServerState
from heliograph.web.metrics import COUNTER, GROUPS, HISTOGRAM, INFO, UP, Group, Metric

BOUNDS = tuple(2.0**power / 1e6 for power in range(6, 31, 3))
"""Upper bounds of the buckets in seconds: 64 µs, and eight times as much for each further one, up to 18 minutes.
Each is a bound of the histograms in shared memory, so no count is an estimate."""

_number = cast("Callable[[float], str]", floatToGoString)
_LE = tuple(map(_number, BOUNDS))
_MAX_SHORT = 1_000_000
"""Prometheus' client writes whole numbers from here on with an exponent."""

OPENMETRICS = "application/openmetrics-text"


class Exposition:
    """Writes the text, and keeps the lines of things that have not changed since the last time."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, tuple[str, ...]], tuple[object, list[str]]] = {}
        """Group and labels -> the thing, and its lines for each metric."""

    def write(self, state: ServerState | None, accept: str) -> tuple[str, str]:
        """Return the text for a client that accepts these formats, and its content type.

        The state is None if the server does not answer.
        """
        content_type = choose_encoder(accept)[1]
        is_open = content_type.startswith(OPENMETRICS)
        parts: list[str] = [_head(UP, is_open=is_open), f"{UP.name} {int(state is not None)}.0\n"]
        known: dict[tuple[int, tuple[str, ...]], tuple[object, list[str]]] = {}
        for number, group in enumerate(GROUPS if state is not None else ()):
            found: list[list[str]] = []
            for thing in group.things(cast("ServerState", state)):
                key = number, tuple(group.labels(thing).values())
                if key in known:
                    continue  # Prometheus rejects a text that has the same line twice
                last = self._known.get(key)
                lines = last[1] if last is not None and last[0] == thing else _lines_of(group, thing)
                known[key] = thing, lines
                found.append(lines)
            for place, metric in enumerate(group.metrics):
                parts.append(_head(metric, is_open=is_open))
                parts.extend(lines[place] for lines in found)
        self._known = known
        if is_open:
            parts.append("# EOF\n")
        return "".join(parts), content_type


def cumulative(found: Distribution) -> list[int]:
    """Return the number of durations up to each of BOUNDS."""
    counts = [0] * (len(BOUNDS) + 1)
    place = 0
    for bound, number in sorted(found.buckets):
        while place < len(BOUNDS) and bound > BOUNDS[place] * 1.000001:
            place += 1
        counts[place] += number
    return list(accumulate(counts[:-1]))


def number_text(value: float) -> str:
    """Return a number as Prometheus' client writes it."""
    if isinstance(value, int) and -_MAX_SHORT < value < _MAX_SHORT:
        return f"{value:d}.0"
    return _number(value)


def _head(metric: Metric, *, is_open: bool) -> str:
    name, type_ = metric.name, metric.type
    if not is_open:
        name += {COUNTER: "_total", INFO: "_info"}.get(type_, "")
        type_ = "gauge" if type_ == INFO else type_
    return f"# HELP {name} {metric.help}\n# TYPE {name} {type_}\n"


def _lines_of(group: Group, thing: object) -> list[str]:
    """Return the lines of a thing for each metric of its group."""
    labels = sorted(group.labels(thing).items())
    texts = [f'{name}="{_escaped(value)}"' for name, value in labels]
    found: list[str] = []
    for metric in group.metrics:
        before = sum(name < (metric.by or "le") for name, _ in labels)
        value = metric.value(thing)
        found.append("" if value is None else "".join(_lines(metric, value, texts, before)))
    return found


def _lines(metric: Metric, value: Any, labels: Sequence[str], before: int) -> Iterable[str]:
    """Return the lines of one thing. `before` is the number of its labels that sort before the further one."""
    if metric.type == HISTOGRAM:
        return _histogram(metric.name, value, labels, before) if value.count else ()
    name = metric.name + {COUNTER: "_total", INFO: "_info"}.get(metric.type, "")
    if isinstance(value, Mapping):
        return _by_label(metric, cast("Mapping[str, float]", value), labels, before)
    return (f"{name}{{{','.join(labels)}}} {number_text(value)}\n" if labels else f"{name} {number_text(value)}\n",)


def _by_label(metric: Metric, values: Mapping[str, float], labels: Sequence[str], before: int) -> Iterator[str]:
    head, tail = _around(labels, before)
    for label, value in values.items():
        yield f'{metric.name}{{{head}{metric.by}="{_escaped(label)}"{tail}}} {number_text(value)}\n'


def _histogram(name: str, found: Distribution, labels: Sequence[str], before: int) -> list[str]:
    head, tail = _around(labels, before)
    start = f'{name}_bucket{{{head}le="'
    tail = f'"{tail}}} '
    lines = [f"{start}{le}{tail}{number_text(count)}\n" for le, count in zip(_LE, cumulative(found), strict=True)]
    every = ",".join(labels)
    total = number_text(max(found.count, sum(number for _, number in found.buckets)))
    lines.append(f"{start}+Inf{tail}{total}\n")
    lines.append(f"{name}_count{{{every}}} {total}\n")
    lines.append(f"{name}_sum{{{every}}} {_number(found.total)}\n")
    return lines


def _around(labels: Sequence[str], before: int) -> tuple[str, str]:
    head = "".join(f"{label}," for label in labels[:before])
    tail = "".join(f",{label}" for label in labels[before:])
    return head, tail


def _escaped(value: str) -> str:
    value = value.encode(errors="replace").decode()
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
