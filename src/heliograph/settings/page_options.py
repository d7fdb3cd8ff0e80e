"""Options of the status page."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from heliograph.settings.addresses import Address
from heliograph.settings.option_row import LOCAL, option
from heliograph.settings.option_types import ListenAddress
from heliograph.settings.token_file import check_token_file

PACKAGES = ("starlette", "uvicorn", "prometheus_client")
"""Modules that the page needs: the extra `web`."""

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_FORMS = "Use names such as status.example.org, with commas between them, and no port"
_UWSGI = "uWSGI has a stats server of its own: -- --stats 127.0.0.1:9191"


@dataclass(frozen=True, slots=True)
class PageAddress(ListenAddress):
    """The address of the status page."""

    def from_text(self, text: str) -> Address:
        for package in PACKAGES:
            if importlib.util.find_spec(package) is None:
                raise ValueError(f"the status page needs {package}. Run pip install 'heliograph[web]'")
        # Not `super()`: this class is made anew for its slots.
        return ListenAddress.from_text(self, text)


@dataclass(frozen=True, slots=True)
class TokenFilePath:
    """The path of a file with a token. The value is absolute."""

    def from_text(self, text: str) -> Path:
        return self.from_value(text)

    def from_value(self, value: Any) -> Path:
        path = Path(value).absolute()
        check_token_file(path)
        return path


@dataclass(frozen=True, slots=True)
class HostNames:
    """Names of hosts, with commas between them. A program passes a list or a text."""

    def from_text(self, text: str) -> tuple[str, ...]:
        return self.from_value(text.split(","))

    def from_value(self, value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            return self.from_text(value)
        names = [str(name).strip() for name in cast("list[object]", value)]
        for name in names:
            if not _HOST.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a host. {_FORMS}")
        return tuple(names)


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """The status page."""

    http_status: Address | None = option(
        PageAddress(),
        None,
        "Serve the status page and metrics at this address",
        "ADDR",
        details="HOST:PORT, :PORT or the path of a Unix socket. A process of its own serves a page for people, "
        "`/metrics` for Prometheus, and `/healthz` and `/readyz` for probes. Use a loopback address or a Unix socket: "
        "everyone who can reach the address can read names, errors and tracebacks. It needs the extra `web`. See [the "
        "status page](../how-to/observe-page.md).",
        engines=(LOCAL,),
        instead=_UWSGI,
        keyword=False,
    )
    http_token_file: Path | None = option(
        TokenFilePath(),
        None,
        "Token for retry and cancel on the status page",
        "FILE",
        details="The file has mode 0600 and one line with 16 or more letters, digits and dashes. The page reads it "
        "again when it changes. Without it, the page only reads.",
        engines=(LOCAL,),
        instead=_UWSGI,
        keyword=False,
    )
    http_host: tuple[str, ...] = option(
        HostNames(),
        (),
        "Further names of the host of the status page",
        "NAME,NAME",
        details="The page answers requests for `localhost`, for IP addresses and for these names, such as that of a "
        "reverse proxy. It refuses all others, so that a page of another site cannot read it.",
        engines=(LOCAL,),
        instead=_UWSGI,
        keyword=False,
    )
