"""File monitors: run a function when a file or directory changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Unpack

from heliograph.exceptions import ScheduleError
from heliograph.models import DEFAULT_SETTLE, FileMonitor
from heliograph.runtime.triggers import TriggerDecorator, TriggerOptions, check_options, check_seconds

__all__ = ["register_file_monitor"]


def register_file_monitor(
    path: str | os.PathLike[str],
    *,
    recursive: bool = False,
    missing_ok: bool = False,
    settle: float = DEFAULT_SETTLE,
    **options: Unpack[TriggerOptions],
) -> TriggerDecorator:
    """Decorator: run the function when the file or directory at `path` is created, changed, replaced or removed.

    heliograph watches the path, not the file that is there now. A monitor of a directory covers its entries.

    Args:
        path: File or directory to watch.
        recursive: Also watch all directories below `path`.
        missing_ok: Allow a path that does not exist yet.
        settle: Seconds for which nothing must change before the function runs, so that one save is one run. If the path
            changes all the time, the function runs after 20 times as long. 0: run at each change.
        **options: See `TriggerOptions`.

    Raises:
        ScheduleError: The path does not exist, or `settle` or an option is invalid.

    >>> @register_file_monitor("prices.csv", target="workers", missing_ok=True)
    ... def reload_prices() -> None: ...
    """
    text = _text_of(path)
    check_seconds("settle", settle)
    absolute = str(Path(text).absolute())
    if not missing_ok and not os.path.exists(absolute):  # noqa: PTH110 - Path.exists raises PermissionError
        raise ScheduleError(f"path to watch is missing: {absolute}. Create it, or pass missing_ok=True.", path)
    return TriggerDecorator(FileMonitor(absolute, recursive, missing_ok, float(settle)), check_options(options))


def _text_of(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
    if not isinstance(text, str) or not text or "\0" in text:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ScheduleError(f"invalid path to watch: {path!r}. Pass the path of a file or directory.", path)
    return text
