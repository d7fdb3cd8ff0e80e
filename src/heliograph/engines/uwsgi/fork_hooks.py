"""uWSGI's single post-fork hook, shared with other libraries that set it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import uwsgi

from heliograph.models import Identity

_LOG = logging.getLogger("heliograph.uwsgi")


class ForkHooks:
    """Runs hooks after each fork. It takes `uwsgi.post_fork_hook`, and keeps the hooks of other libraries."""

    def __init__(self, refresh: Callable[[], Identity], start: Callable[[], None]) -> None:
        """`refresh()` runs first after each fork and returns the identity of the new process.

        `start()` runs last. The process ends if it raises an exception.
        """
        self._refresh, self._start = refresh, start
        self._hooks: list[Callable[[], object]] = []
        self._foreign_hook: Callable[[], object] = _no_hook
        self._hooked = 0
        earlier = getattr(uwsgi, "post_fork_hook", None)
        if earlier is not None:
            self._hooks.append(earlier)
        uwsgi.post_fork_hook = self._after_fork
        self._chain_post_fork_hook()

    def add(self, hook: Callable[[], object]) -> None:
        """Run `hook()` after each fork from now on."""
        self._hooks.append(hook)

    def _chain_post_fork_hook(self) -> None:
        """Chain `uwsgi.post_fork_hook`: if another library assigns it later, call that function from our hook.

        The scheduler depends on our hook.
        """
        hooks = self

        class Module(ModuleType):
            def __setattr__(self, name: str, value: Any) -> None:
                if name == "post_fork_hook":
                    hooks._foreign_hook = value
                else:
                    super().__setattr__(name, value)

        uwsgi.__class__ = Module  # pyright: ignore[reportAttributeAccessIssue]

    def _after_fork(self) -> None:
        if self._hooked == os.getpid():  # a chained hook has called this one again
            return
        self._hooked = os.getpid()
        _keep_descriptor_0()
        identity = self._refresh()
        for hook in (*self._hooks, self._foreign_hook):
            try:
                hook()
            except KeyboardInterrupt:  # uWSGI would print it and continue
                raise SystemExit(130) from None
            except Exception:  # noqa: BLE001 - one failing hook does not stop the others
                _LOG.exception("Post-fork hook of another library failed in %s", identity)
        try:
            self._start()
        except Exception:  # noqa: BLE001 - see `__init__`
            _LOG.exception("Cannot start %s", identity)
            raise SystemExit(1) from None


def _no_hook() -> None:
    """Do nothing."""


def _keep_descriptor_0() -> None:
    """Open descriptor 0, before a hook opens a file or socket there.

    uWSGI's spooler replaces descriptor 0 with /dev/null right after its post-fork hooks (`core/spooler.c`).
    """
    try:
        os.fstat(0)
    except OSError:
        os.open(os.devnull, os.O_RDONLY)
