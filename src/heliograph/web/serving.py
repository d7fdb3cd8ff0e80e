"""The process of the page: uvicorn with limits, until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from heliograph.ipc.process_title import set_process_title
from heliograph.settings.addresses import Address
from heliograph.settings.token_file import TokenFile
from heliograph.web.application import Page
from heliograph.web.connections import Connection
from heliograph.web.reader import ServerReader, StackReader
from heliograph.web.readings import Readings
from heliograph.web.view import View

MAX_CONNECTIONS = 128
"""Number of open connections. Requests on one more get the answer 503."""
_KEEP_ALIVE = 10
"""Seconds that a connection may be silent between two requests."""
_STOP_TIMEOUT = 2
"""Seconds for the answers that are being written when the process is to stop."""

_LOG = logging.getLogger("heliograph.web")


def serve(control: Path, address: Address, token_file: Path | None, hosts: Sequence[str]) -> None:
    """Serve the page of the server with that control socket until SIGTERM or SIGINT.

    Raises:
        ValueError: The address is taken, or the token file cannot be used.
    """
    tokens = None if token_file is None else TokenFile(token_file)
    listener = address.listen()
    file = address.file_id()
    set_process_title(f"heliograph: page of {control}")
    _announce(address, listener, token_file)
    try:
        asyncio.run(_serve(control, listener, tokens, (*hosts, *([address.host] if address.host else []))))
    finally:
        listener.close()
        address.remove_file(file)


async def _serve(control: Path, listener: socket.socket, tokens: TokenFile | None, hosts: tuple[str, ...]) -> None:
    view = View(can_change=tokens is not None)
    readings = Readings(ServerReader(control), view.update)
    page = Page(readings, view, StackReader(control).read, tokens)
    try:
        await PageServer(page, hosts).serve([listener])
    finally:
        readings.close()


class PageServer(uvicorn.Server):
    """uvicorn, which sleeps while there is nothing to do, and exits with code 0 after SIGTERM."""

    def __init__(self, page: Page, hosts: Sequence[str] = ()) -> None:
        """`hosts` are the names under which clients may ask."""
        config = uvicorn.Config(
            page.app(tuple(hosts)),
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_STOP_TIMEOUT,
        )
        super().__init__(config)
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._page = page
        self._stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop at SIGTERM and SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        yield

    def stop(self) -> None:
        """End the server."""
        self._stop.set()

    async def main_loop(self) -> None:
        """Wait for the end, without looking for it ten times a second."""
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams of events first: they would not end by themselves."""
        self._page.events.close()
        await super().shutdown(sockets)


def _announce(address: Address, listener: socket.socket, token_file: Path | None) -> None:
    rights = "read-only" if token_file is None else "changes need a token"
    if address.path:
        _LOG.info("Serving the status page (socket %s, %s)", address.path, rights)
        return
    host, port = _bound(listener.getsockname())
    _LOG.info("Serving the status page (http://%s:%d/, %s)", f"[{host}]" if ":" in host else host, port, rights)
    if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        text = "Other machines can read the status page at %s: names, errors and tracebacks (pid %d)"
        _LOG.warning(text, address, os.getpid())


def _bound(name: Any) -> tuple[str, int]:
    return str(name[0]), int(name[1])
