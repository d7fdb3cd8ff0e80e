"""Tests of an application that reach the tasks of a real server, because they use no engine of their own."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Iterator
from types import FrameType

from heliograph.exceptions import HeliographWarning
from heliograph.ipc.store_directory import running_server

_FRAMEWORKS = ("unittest.case", "_pytest.python")
"""Modules that call the functions of tests."""

_PACKAGE = __name__.partition(".")[0]


def warn_in_tests(directory: str) -> None:
    """Warn if a test uses the tasks of a server that runs now."""
    modules = [frame.f_globals.get("__name__", "") for frame in _with_callers(inspect.currentframe())]
    if not any(module in _FRAMEWORKS for module in modules):
        return
    with contextlib.suppress(OSError):
        server = running_server(directory)
        if server is not None:
            own = [index for index, module in enumerate(modules) if module.partition(".")[0] == _PACKAGE]
            text = (
                f"this test uses the tasks of the running server {server!r} ({directory}). Use the fixture "
                "heliograph_engine, or heliograph.testing.inline_engine()."
            )
            warnings.warn(text, HeliographWarning, stacklevel=max(own, default=0) + 2)


def _with_callers(frame: FrameType | None) -> Iterator[FrameType]:
    """Return a frame and its callers, the nearest first."""
    while frame is not None:
        yield frame
        frame = frame.f_back
