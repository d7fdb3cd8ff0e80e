"""Rules for the store of the tasks."""

from __future__ import annotations

from collections.abc import Iterator

from heliograph._core.units import size
from heliograph.insights.findings import Finding, sentence
from heliograph.insights.model import StoreState

FREE_BYTES = 64 << 20
"""Bytes that the file system of the tasks must have left."""


def lost(store: StoreState) -> Iterator[Finding]:
    """Find a directory that was removed or replaced."""
    if store.fault is not None and store.is_lost:
        yield Finding(store.directory, sentence(store.fault), "Put it back, and run `heliograph reload`.")


def store_fault(store: StoreState) -> Iterator[Finding]:
    """Find a store that cannot be used."""
    if store.fault is not None and not store.is_lost:
        yield Finding(store.directory, sentence(store.fault), "Run `heliograph tasks check` to see what is wrong.")


def full_disk(store: StoreState) -> Iterator[Finding]:
    """Find a file system that is nearly full."""
    if store.free_bytes < FREE_BYTES:
        yield Finding(
            store.directory,
            f"the file system of the tasks has {size(store.free_bytes)} left.",
            f"Free space there, since no task can be stored on a full disk: {store.directory}",
        )


def dead_tasks(store: StoreState) -> Iterator[Finding]:
    """Find functions with dead tasks."""
    for task in store.tasks:
        if count := task.counts.get("DEAD", 0):
            yield Finding(
                task.name,
                f"{count} {'task' if count == 1 else 'tasks'} of {task.name} killed one process after the other.",
                "See `heliograph tasks --status dead`, correct the code, and run `heliograph tasks retry ID`.",
            )


def unknown_tasks(store: StoreState) -> Iterator[Finding]:
    """Find tasks whose function is gone."""
    for task in store.tasks:
        if not task.is_known and (count := task.counts.get("READY", 0)):
            yield Finding(
                task.name,
                f"{count} {'task waits' if count == 1 else 'tasks wait'} for {task.name}, which the code lacks.",
                "Reload code that has the function, or remove them with `heliograph tasks cancel ID`.",
            )
