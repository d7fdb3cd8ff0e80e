"""File changes: run a function when a file or directory changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Unpack

from heliograph.exceptions import ScheduleError
from heliograph.models import FileMonitor
from heliograph.runtime.triggers import TriggerDecorator, TriggerOptions, check_options

__all__ = ["register_file_monitor"]


def register_file_monitor(
    path: str | os.PathLike[str],
    *,
    recursive: bool = False,
    missing_ok: bool = False,
    **options: Unpack[TriggerOptions],
) -> TriggerDecorator:
    """Decorator: run the function when what is at `path` changes, is replaced, made or removed.

    The path is watched, not the file that is there now: it may be replaced, removed and made again. A directory stands
    for what is in it, with `recursive` for the whole tree. Raises `ScheduleError` for a path where nothing is, unless
    `missing_ok`. See `RunOptions` for the rest.

    >>> @register_file_monitor("prices.csv", target="workers", missing_ok=True)
    ... def reload_prices() -> None: ...
    """
    text = _text_of(path)
    absolute = str(Path(text).absolute())
    if not missing_ok and not os.path.exists(absolute):  # noqa: PTH110 - Path's own raises where it may not look
        raise ScheduleError(f"there is nothing at {absolute} to watch; missing_ok=True waits for it to be made", path)
    return TriggerDecorator(FileMonitor(absolute, recursive, missing_ok), check_options(options))


def _text_of(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
    if not isinstance(text, str) or not text or "\0" in text:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ScheduleError(f"a path to watch is the path of a file or directory, not {path!r}", path)
    return text
