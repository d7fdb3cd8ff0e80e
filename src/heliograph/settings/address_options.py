"""Options of the name and the addresses of a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heliograph.settings.addresses import Address
from heliograph.settings.option_row import LOCAL, UWSGI, option
from heliograph.settings.option_types import ControlSocket, ListenAddress, SignalNumbers, Text


@dataclass(frozen=True, kw_only=True)
class AddressOptions:
    """Name and addresses."""

    name: str = option(
        Text(),
        "",
        "Server name",
        "NAME",
        shown_default="derived from the directory",
        details="`signals`, `schedule`, `reload` and `stop` find the server by it.",
        engines=(LOCAL,),
        instead="uWSGI has no name. Signals find it by its --socket",
    )
    control: Path | None = option(
        ControlSocket(),
        None,
        "Control socket",
        "PATH",
        shown_default="derived from the name",
        details="A path in a directory that exists. The commands find the server by the same option or variable.",
        engines=(LOCAL,),
        instead="uWSGI has no control socket of this kind",
    )
    listen: Address | None = option(
        ListenAddress(),
        None,
        "Take external signals at HOST:PORT, :PORT or a path",
        "ADDR",
        details="The server speaks the uwsgi protocol there. `:PORT` means all interfaces, a path is a Unix socket. "
        "The heliograph server creates a Unix socket with mode 0600.",
        flag="--socket",
        aliases=("--listen",),
    )
    allow_remote: frozenset[int] = option(
        SignalNumbers(),
        frozenset(),
        "Signals that other programs may send to --socket",
        "17,18",
        details="They add to those registered with `remote=True`.",
        engines=(LOCAL,),
        instead="uWSGI takes every signal at its --socket",
    )
    http: Address | None = option(
        ListenAddress(),
        None,
        "Serve HTTP at HOST:PORT, :PORT or a path",
        "ADDR",
        engines=(UWSGI,),
        instead="Start a web server with it: heliograph run APP -- gunicorn shop.wsgi",
        keyword=False,
    )
