"""Rules for processes, and for the code that they run."""

from __future__ import annotations

from collections.abc import Iterator

from heliograph._core.units import size
from heliograph.insights.findings import Finding, for_
from heliograph.insights.model import ServerState

EARLY_EXITS = 2
"""Number of exits in a row, each soon after the start, that make a crash loop."""
MISSING, MISSING_WEB_WORKER = 3.0, 15.0
"""Seconds for which a place may be without a process. A process of a web server has to import its application first."""
STARTING = 30.0
"""Seconds that a process may take from its start until it receives signals."""
LEAK_FACTOR, LEAK_BYTES = 4, 256 << 20
"""A process leaks if its memory is so many times that at its start, and so many bytes more."""
MIXED = 5.0
"""Seconds after a load in which processes may still run older code, or the graceful timeout, if that is longer."""


def hung_handlers(state: ServerState) -> Iterator[Finding]:
    """Find handlers and tasks that run for too long: the reader has judged that."""
    for process in state.processes:
        for running in process.running:
            if running.is_overdue:
                what = f"the handler {running.handler} of signal" if running.kind == "signal" else "the task"
                yield Finding(
                    process.name,
                    f"{process.name} has run {what} {running.name} for {for_(state.looked_at - running.since)}.",
                    f"Run `heliograph stack {word(process.name)}` to see where it is, and give it a time limit.",
                    running.since,
                )


def web_server_failing(state: ServerState) -> Iterator[Finding]:
    """Find a web server that does not start."""
    for process in state.processes:
        if process.failure and process.role == "webserver":
            yield Finding(
                process.name,
                f"the web server does not start: {process.failure}.",
                "Read its last lines in the log of the server, correct the code, and run `heliograph reload`.",
                process.last_exit.at if process.last_exit else None,
            )


def crash_loops(state: ServerState) -> Iterator[Finding]:
    """Find processes that exit again and again."""
    for process in state.processes:
        if process.early_exits >= EARLY_EXITS and not process.failure:
            last = process.last_exit
            what = f"the command {process.name}" if process.role == "command" else process.name
            reason = f", last with: {last.reason}" if last else ""
            yield Finding(
                process.name,
                f"{what} has exited {process.early_exits} times in a row soon after its start{reason}.",
                "Read the log of the server, correct the code, and run `heliograph reload`.",
                last.at if last else None,
            )


def missing(state: ServerState) -> Iterator[Finding]:
    """Find places without a process, unless another rule tells why."""
    has_web_server = any(process.role == "webserver" for process in state.processes)
    for process in state.processes:
        is_web_worker = has_web_server and process.role == "worker"
        since, most = process.missing_since, MISSING_WEB_WORKER if is_web_worker else MISSING
        if since is None or state.looked_at - since <= most or process.failure or process.early_exits >= EARLY_EXITS:
            continue
        advice = "Read the log of the server to see why it is not started."
        if is_web_worker:
            advice = "Start as many processes of the web server as --workers says, and let its application join."
        elif state.reload_failure:
            advice = "The code does not load, so it is not started: correct the code and run `heliograph reload`."
        yield Finding(
            process.name, f"{process.name} has had no process for {for_(state.looked_at - since)}.", advice, since
        )


def slow_starts(state: ServerState) -> Iterator[Finding]:
    """Find processes that run and do not receive signals: a post-fork hook or a slow import holds them up."""
    for process in state.processes:
        since = process.since
        if process.status == "starting" and since is not None and state.looked_at - since > STARTING:
            yield Finding(
                process.name,
                f"{process.name} has been starting for {for_(state.looked_at - since)}.",
                f"Run `heliograph stack {word(process.name)}` to see where it is.",
                since,
            )


def reload_failed(state: ServerState) -> Iterator[Finding]:
    """Find a reload that failed, until a later one succeeds."""
    if state.reload_failure is not None:
        yield Finding(
            state.app,
            f"the new code was not loaded, the old code still runs: {last_line(state.reload_failure)}",
            "Read the log of the server, correct the code, and run `heliograph reload`.",
            state.reload_failed_at,
        )


def mixed_versions(state: ServerState) -> Iterator[Finding]:
    """Find processes that run older code although no reload is under way."""
    loaded = state.loaded_at
    if loaded is None or state.is_loading or state.looked_at - loaded <= max(MIXED, state.graceful_timeout):
        return
    for process in state.processes:
        is_web_worker = process.role == "worker" and process.status in {"running", "starting"}
        if is_web_worker and (process.generation or state.generation) < state.generation:
            yield Finding(
                process.name,
                f"{process.name} still runs code of generation {process.generation}, the others {state.generation}.",
                "The web server has not replaced it after the reload: restart the web server.",
                loaded,
            )


def leaking(state: ServerState) -> Iterator[Finding]:
    """Find processes that have grown since their start."""
    for process in state.processes:
        now, before = process.rss, process.rss_at_start
        if now and before and now > LEAK_FACTOR * before and now - before > LEAK_BYTES:
            yield Finding(
                process.name,
                f"{process.name} has {size(now)} of memory. It had {size(before)} at its start.",
                "Find the leak, or let the server replace the process in time with --max-signals.",
            )


def last_line(text: str) -> str:
    """Return the exception of a traceback."""
    return f"{text.strip().rpartition(chr(10))[2].rstrip('.')}."


def word(name: str) -> str:
    """Return the name of a process as a word of a shell."""
    return f'"{name}"' if " " in name else name
