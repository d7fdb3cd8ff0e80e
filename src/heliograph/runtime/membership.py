"""How a process of another server says that it serves, and so is a worker; and that it will not any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliograph import engines

if TYPE_CHECKING:
    import asyncio


def join_server(loop: asyncio.AbstractEventLoop | None = None) -> bool:
    """Be a worker of the heliograph server whose command started this process: signals arrive from now on.

    Not needed in processes of gunicorn, uvicorn and granian, which are known. Call it where the application is loaded
    and about to serve, once or many times. `async def` handlers run on `loop`; without one, on the loop that runs in
    the main thread, or else on one of their own.

    Whether there is such a server; if not, nothing happens.
    """
    return engines.current().join(loop)


def leave_server() -> None:
    """Take no more signals in this process, for good; return when the handler that runs has ended, 30 s at most.

    A process that ends does so by itself. Call it earlier where handlers need what is taken down before: their event
    loop, say. Not on that loop, which has to run meanwhile: `await asyncio.to_thread(leave)`.
    """
    engines.current().leave()


join, leave = join_server, leave_server
"""Short names of the same functions."""
