"""A made-up server, and `heliograph top` that looks at it."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("textual")

from heliograph.ipc.control_client import ServerNotRunning
from heliograph.top.app import TopApp

DEADLINE = 60.0


def _load_states():
    """Import the module beside this one. Tests are no package, so that a plain import does not find it."""
    spec = importlib.util.spec_from_file_location("top_states", Path(__file__).with_name("states.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


STATES = _load_states()


@pytest.fixture(scope="session")
def states():
    """Functions for made-up states."""
    return STATES


class FakeServer:
    """A server whose state the test sets. Each look is a millisecond later, so that ages in its texts stay the same."""

    def __init__(self):
        self.state = STATES.well()
        self.looks = 0
        self.connections = 0
        self.fault = None
        self.done = []
        """What was asked of it."""

    def connect(self):
        self.connections += 1
        if self.fault is not None:
            raise ServerNotRunning(self.fault)
        return self

    def look(self):
        if self.fault is not None:
            raise ServerNotRunning(self.fault)
        self.looks += 1
        return replace(self.state, looked_at=STATES.NOW + self.looks / 1000)

    def close(self):
        self.done.append("close")

    def reload(self):
        self.done.append("reload")
        return "Reload complete (generation 3)"

    def stack(self, process):
        self.done.append(f"stack {process}")
        return f"Thread 0x01 of {process}:\n  line 12 in handle"


@pytest.fixture
def fake():
    return FakeServer()


def shown(app):
    """Return the lines on the screen."""
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


class Top:
    """The application under test."""

    def __init__(self, app, pilot):
        self.app = app
        self.pilot = pilot

    @property
    def text(self):
        return "\n".join(shown(self.app))

    async def press(self, *keys):
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, what):
        """Wait until a text is on the screen, or a function returns true."""
        deadline = time.monotonic() + DEADLINE
        while not (what in self.text if isinstance(what, str) else what()):
            assert time.monotonic() < deadline, f"{what}\n{self.text}"
            await asyncio.sleep(0.01)
            await self.pilot.pause()

    def toasts(self):
        return [notification.message for notification in self.app._notifications]


@pytest.fixture
def top(fake, monkeypatch):
    """Start the application: `async with top(size=(80, 24)) as page:`."""

    @asynccontextmanager
    async def start(size=(80, 24), interval=0.05, no_color=""):
        monkeypatch.delenv("NO_COLOR", raising=False)
        if no_color:
            monkeypatch.setenv("NO_COLOR", no_color)
        app = TopApp(fake.connect, fake, interval)
        async with app.run_test(size=size, notifications=True) as pilot:
            page = Top(app, pilot)
            if fake.fault is None:
                await page.until(lambda: app.look is not None)
                await page.until("mule1")
            yield page

    return start
