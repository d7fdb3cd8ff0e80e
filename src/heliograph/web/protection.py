"""The limits of every request: names of this host, time to read an answer, and headers that confine the page."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable
from email.utils import formatdate

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SEND_TIMEOUT = 30.0
"""Seconds in which a client has to read a part of an answer."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_MISDIRECTED = (
    "This server is not {!r}. If a proxy or a name of yours leads here, start the server with --http-host {}.\n"
)


class Protection:
    """Wraps the application of the page."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        """`hosts` are the names under which clients may ask, besides `localhost` and all IP addresses."""
        self._app = app
        self._hosts = {"localhost", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                headers["date"] = formatdate(usegmt=True)
            async with asyncio.timeout(SEND_TIMEOUT):
                await send(message)

        host = Headers(scope=scope).get("host")
        if host is not None and not self.knows(host):
            name = host_name(host)
            await PlainTextResponse(_MISDIRECTED.format(name, name), 421)(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def knows(self, host: str) -> bool:
        """Return True if a `Host` header names this server.

        A page of another site can only reach this server by a name that it controls, never by an address.
        """
        name = host_name(host)
        return name in self._hosts or name.endswith(".localhost") or _is_address(name)


def host_name(host: str) -> str:
    """Return the name in a `Host` header, without port and brackets."""
    name, colon, port = host.rpartition(":")
    found = name if colon and port.isdigit() else host
    return found.removeprefix("[").removesuffix("]").rstrip(".").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
