"""The top of the page: whether the server is well, what is not, and facts of the server and of its store."""

from __future__ import annotations

from heliograph.insights.model import Problem, ServerState, StoreState
from heliograph.web import formats
from heliograph.web.markup import Markup, element, join, prose
from heliograph.web.processes_table import stack_link
from heliograph.web.readings import Reading
from heliograph.web.tables import anchor


def verdict(reading: Reading) -> tuple[str, str]:
    """Return a word for the state of the server, and a sentence."""
    state = reading.state
    if state is None:
        return "critical", "The server does not answer"
    if state.problems:
        number = len(state.problems)
        worst = "critical" if any(problem.severity == "critical" for problem in state.problems) else "warning"
        return worst, "1 thing needs attention" if number == 1 else f"{number} things need attention"
    if state.is_stopping:
        return "warning", "The server is stopping"
    if not state.is_ready:
        return "warning", "The server is starting"
    return "well", "All is well"


def health(reading: Reading) -> Markup:
    """Return the verdict, and the problems with the worst first."""
    word, sentence = verdict(reading)
    problems: Markup | None = None
    if reading.state is None:
        problems = element("p", reading.error)
    elif reading.state.problems:
        shown = [_problem(problem, reading.state) for problem in reading.state.problems]
        problems = element("ol", *shown, class_="problems")
    return join(element("p", sentence, class_=f"verdict {word}", role="status"), problems)


def _problem(problem: Problem, state: ServerState) -> Markup:
    since = None if problem.since is None else element("small", "since ", formats.clock(problem.since, state.looked_at))
    head = element(
        "div", element("strong", problem.severity, ":", class_=problem.severity), " ", prose(problem.text), " ", since
    )
    advice = element(
        "div", prose(problem.advice), " ", _stack(problem, state), " ", _link(problem, state), class_="advice"
    )
    return element("li", head, advice, class_=problem.severity, data_code=problem.code)


def _link(problem: Problem, state: ServerState) -> Markup | None:
    """Return a link to the row of the thing that is unwell."""
    subject = problem.subject
    for kind, keys in (
        ("processes", {process.name: process.name for process in state.processes}),
        ("signals", {name: str(signal.num) for signal in state.signals for name in (signal.name, str(signal.num))}),
        ("tasks", {task.name: f"{task.name} {task.target}" for task in (state.store.tasks if state.store else ())}),
        ("triggers", {name: trigger.name for trigger in state.triggers for name in (trigger.schedule, trigger.name)}),
    ):
        if subject in keys:
            return element("a", f"Show {subject}", href=f"#{anchor(kind, keys[subject])}")
    return None


def _stack(problem: Problem, state: ServerState) -> Markup | None:
    """Return a link to the stack of a process that is unwell."""
    found = next((process for process in state.processes if process.name == problem.subject), None)
    return None if found is None else stack_link(found, f"Stack of {found.name}")


def facts(reading: Reading) -> Markup:
    """Return the facts of the server in a line."""
    state = reading.state
    if state is None:
        return Markup("")
    busy = sum(bool(process.running) for process in state.processes)
    found = (
        ("Application", state.app),
        ("Up for", formats.age(state.started_at, state.looked_at)),
        ("Code", f"generation {state.generation}" + (", loading the next one" if state.is_loading else "")),
        ("Processes", f"{len(state.processes)}, {busy} busy"),
        ("Memory", formats.size(sum(process.memory or 0 for process in state.processes) or None)),
        ("Load", ", ".join(f"{host.load:.2f} on {host.cpus} CPUs" for host in state.hosts) or formats.NONE),
        ("Rejected sends", formats.count(state.rejected)),
        ("Version", f"heliograph {state.version}, Python {state.python}"),
    )
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in found))


def store(reading: Reading) -> Markup:
    """Return the facts of the store of the tasks."""
    found = None if reading.state is None else reading.state.store
    if found is None:
        return Markup("")
    title = element("h2", "Store", id="store-title")
    return element("section", title, _store_facts(found), aria_labelledby="store-title")


def _store_facts(found: StoreState) -> Markup:
    rows = (
        ("Directory", element("code", found.directory)),
        ("Size", f"{formats.size(found.bytes)}, log {formats.size(found.log_bytes)}"),
        ("Free space", formats.size(found.free_bytes)),
        ("SQLite", found.sqlite + ("" if found.sync is None else f", sync {found.sync}")),
        ("Paused", ", ".join(found.paused) or "nothing"),
    )
    notes = [
        element("p", text, class_=kind)
        for text, kind in ((found.fault, "critical"), (found.warning, "warning"))
        if text
    ]
    return join(
        *notes, element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in rows))
    )
