"""A shop in a container: a page, a timer in a mule, and tasks of the spooler."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from heliograph import register_timer, task

Start = Callable[[str, list[tuple[str, str]]], object]


@task(target="spooler")
def send_mail(address: str) -> str:
    """Send a mail. A real shop would."""
    print(f"mail to {address}", flush=True)
    return address


@register_timer(60, target="mule")
def refresh_prices() -> None:
    """Read the prices of the suppliers."""
    print("prices refreshed", flush=True)


def app(environ: dict[str, str], start_response: Start) -> Iterable[bytes]:
    """Store a task for each request, and answer with its id."""
    result = send_mail.enqueue(environ.get("QUERY_STRING") or "ann@example.org")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{result.id}\n".encode()]
