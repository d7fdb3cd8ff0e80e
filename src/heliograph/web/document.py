"""The pages as documents: the status page and the page of a stack. They read well without the script."""

from __future__ import annotations

from heliograph.web.markup import Markup, element, join
from heliograph.web.plots import plots
from heliograph.web.readings import Reading
from heliograph.web.summary import facts, health, store
from heliograph.web.tables import MAX_ROWS, table
from heliograph.web.tasks_table import task_lists
from heliograph.web.view import View, title

_SECTIONS = (("processes", "Processes"), ("signals", "Signals"), ("tasks", "Tasks"), ("triggers", "Triggers"))


def document(view: View, reading: Reading) -> str:
    """Return the status page."""
    name = "heliograph" if reading.state is None else reading.state.name
    tables = {found.id: table(found, (row.draw() for row in found.rows[:MAX_ROWS])) for found in view.tables(reading)}
    now = 0.0 if reading.state is None else reading.state.looked_at
    lists = task_lists(reading.tasks, now, can_change=view.can_change)
    links = [element("a", text, href=f"#{id_}-title") for id_, text in _SECTIONS if id_ in tables]
    body = join(
        element("a", "Skip to the state of the server", href="#health", class_="skip"),
        element(
            "header",
            element("h1", name),
            element("nav", *links, aria_label="Sections"),
            element("p", "Reload the page to see the present state.", id="live", role="status", class_="off"),
        ),
        element(
            "main",
            element("div", health(reading), id="health", tabindex="-1"),
            element("div", facts(reading), id="facts"),
            element("div", _plots(view, reading), id="plots", role="group", aria_label="The last 10 minutes"),
            tables.get("processes"),
            tables.get("signals"),
            tables.get("tasks"),
            element("div", lists, id="task-lists"),
            tables.get("triggers"),
            element("div", store(reading), id="store"),
            data_now=f"{now:.3f}",
            id="main",
        ),
        _dialogs(view),
        element("footer", _footer(view)),
    )
    return _page(title(reading), body, "")


def stack_document(process: str, text: str) -> str:
    """Return the page with the stack of a process."""
    body = join(
        element("header", element("h1", f"Stack of {process}")),
        element(
            "main", element("p", element("a", "Back to the status", href="../")), element("pre", text, tabindex="0")
        ),
    )
    return _page(f"Stack of {process}", body, "../", has_script=False)


def _page(heading: str, body: Markup, root: str, *, has_script: bool = True) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", heading),
        element("link", rel="icon", type="image/svg+xml", href=f"{root}static/icon.svg"),
        element("link", rel="stylesheet", href=f"{root}static/page.css"),
        element("script", src=f"{root}static/page.js", defer=True) if has_script else None,
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', body), lang='en')}"


def _footer(view: View) -> Markup:
    text = (
        "Retry and cancel ask for the token of --http-token-file."
        if view.can_change
        else "This page only reads. Start the server with --http-token-file to retry and cancel tasks here."
    )
    links = [element("a", name, href=path) for name, path in (("Metrics", "metrics"), ("State as JSON", "api/state"))]
    return join(element("p", text), element("p", *(join(link, " ") for link in links)))


def _plots(view: View, reading: Reading) -> Markup | None:
    return None if reading.state is None else plots(view.history)


def _dialogs(view: View) -> Markup:
    stack = element(
        "dialog",
        element("h2", "Stack", id="stack-title"),
        element("pre", id="stack-text", tabindex="0"),
        element(
            "p",
            element("button", "Read again", type="button", id="stack-again"),
            " ",
            element("button", "Close", type="button", data_close=True),
        ),
        id="stack",
        aria_labelledby="stack-title",
    )
    if not view.can_change:
        return stack
    token = element(
        "dialog",
        element("h2", "Token", id="token-title"),
        element(
            "form",
            element("label", "The text in the file of --http-token-file", for_="token-text"),
            element("input", id="token-text", type="password", autocomplete="off", required=True),
            element("p", "This tab keeps it until you close it.", class_="none"),
            element(
                "p",
                element("button", "Use the token", type="submit"),
                " ",
                element("button", "Cancel", type="button", data_close=True),
            ),
            id="token-form",
        ),
        id="token",
        aria_labelledby="token-title",
    )
    return join(stack, token)
