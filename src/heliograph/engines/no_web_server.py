"""Methods of engines whose processes do not belong to a web server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class NoWebServer:
    """The role `WebServerMembership`, for processes that cannot join a server."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        return None

    def join(self, loop: asyncio.AbstractEventLoop | None = None, *, at_request: bool = False) -> bool:
        del loop, at_request
        return False

    def number_of_trigger(self, trigger: str) -> int | None:
        del trigger
        return None

    def leave(self) -> None:
        """Do nothing: this engine never joins a server."""
