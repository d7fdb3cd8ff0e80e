"""Calls before a process of a web server exits, while handlers can still use threads and executors."""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

_BEFORE_POOLS = 100
"""Priority of a finalizer of multiprocessing. Its own have at most 15, and the highest is called first."""


def call_at_exit(function: Callable[[], None]) -> None:
    """Call `function` when this process exits normally.

    Functions in `atexit` run after `concurrent.futures` has shut its executors down, and then a handler that awaits
    `asyncio.to_thread` fails. `threading` calls its hooks earlier, the last registered one first.
    """
    importlib.import_module("concurrent.futures.thread")  # registers its hook, so that ours comes after it in the list
    try:
        threading._register_atexit(function)  # type: ignore[attr-defined]  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    except RuntimeError:  # the process is exiting already
        function()
    util = sys.modules.get("multiprocessing.util")
    if util is not None:  # a process that multiprocessing started shuts its pools down before the hooks of threading
        util.Finalize(None, function, exitpriority=_BEFORE_POOLS)


def call_before_sigterm(function: Callable[[], None], handler: Callable[..., object]) -> None:
    """Let SIGTERM call `function`, and then the handler that was installed for it.

    Both run in a thread, since `function` may wait and must not stop the event loop of the main thread.
    """

    def call_both(*arguments: Any) -> None:
        function()
        handler(*arguments)

    def start_thread(*arguments: Any) -> None:
        threading.Thread(target=call_both, args=arguments, name="heliograph-leaving").start()

    signal.signal(signal.SIGTERM, start_thread)
