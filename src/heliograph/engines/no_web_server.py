"""What engines share whose processes are no web server's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class NoWebServer:
    """There is no web server to join from, and no loop of its."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        return None

    def join(self, loop: asyncio.AbstractEventLoop | None = None) -> bool:
        del loop
        return False

    def number_of_trigger(self, trigger: str) -> int | None:
        del trigger
        return None

    def leave(self) -> None:
        """Who did not join stays."""
