"""The rules by which a server is not well: each at both sides of its bounds."""

from dataclasses import replace

import pytest

from heliograph.insights.health import RULES, overdue_after, problems, problems_of_store

from .states import (
    EXIT,
    HANDLER,
    MIB,
    NONE,
    NOW,
    TASK,
    process,
    signal,
    state,
    store,
    task,
    trigger,
    with_process,
    with_store,
)

LONG = replace(NONE, p50=1.5)
WEB_SERVER = process("web server", "webserver", generation=None)


def busy(*names, seconds, **changes):
    """A server whose processes of these names run a handler since then."""
    handler = replace(HANDLER, since=NOW - seconds, is_overdue=False)
    well = state(**changes)
    return replace(
        well, processes=tuple(replace(p, running=(handler,)) if p.name in names else p for p in well.processes)
    )


def queue(name, **changes):
    """A server with one of its queues changed."""
    well = state()
    return replace(well, queues=tuple(replace(q, **changes) if q.name == name else q for q in well.queues))


def web(**changes):
    """A server with a web server, whose `worker1` is like this."""
    well = state()
    worker = replace(process("worker1", "worker"), **changes)
    return replace(well, processes=(well.processes[0], WEB_SERVER, worker))


MISSING = {"pid": None, "status": "missing", "since": None, "generation": None, "rss": None}
TRACEBACK = 'Traceback\n  File "shop.py", line 3\nSyntaxError: invalid syntax\n'

UNWELL = {
    "hung_handler": [
        (with_process(running=(HANDLER,)), "mule1", "mule1 has run the handler shop.refresh of signal 7 for 12 s."),
        (with_process(running=(TASK,)), "mule1", "mule1 has run the task shop:send for 1m30s."),
        (with_process(running=(replace(HANDLER, is_overdue=False), TASK)), "mule1", "task shop:send"),
    ],
    "web_server_failing": [
        (
            state(processes=(replace(WEB_SERVER, failure="exit code 1, 3 times", last_exit=EXIT),)),
            "web server",
            "the web server does not start: exit code 1, 3 times.",
        ),
    ],
    "crash_loop": [
        (
            with_process(early_exits=2, last_exit=EXIT),
            "mule1",
            "mule1 has exited 2 times in a row soon after its start, last with: exit code 3.",
        ),
        (
            state(processes=(process("clock", "command", early_exits=4, last_exit=EXIT),)),
            "clock",
            "the command clock has exited 4 times in a row soon after its start, last with: exit code 3.",
        ),
    ],
    "missing_worker": [
        (with_process(**MISSING, missing_since=NOW - 3.1), "mule1", "mule1 has had no process for 3 s."),
        (with_process(**{**MISSING, "status": "starting"}, missing_since=NOW - 120), "mule1", "for 2m00s."),
        (web(**MISSING, missing_since=NOW - 15.1), "worker1", "worker1 has had no process for 15 s."),
    ],
    "slow_start": [
        (with_process(status="starting", since=NOW - 30.1), "mule1", "mule1 has been starting for 30 s."),
    ],
    "tasks_lost": [
        (with_store(fault="The directory was removed: /x", is_lost=True), "/var/lib/shop", "the directory was removed"),
    ],
    "store_fault": [
        (with_store(fault="cannot read the tasks: /x"), "/var/lib/shop", "cannot read the tasks: /x."),
    ],
    "full_disk": [
        (with_store(free_bytes=64 * MIB - 1), "/var/lib/shop", "the file system of the tasks has 64.0 MiB left."),
        (with_store(free_bytes=0), "/var/lib/shop", "has 0 B left."),
    ],
    "dead_task": [
        (with_store(tasks=(task(counts={"DEAD": 1}),)), "shop:send", "1 task of shop:send killed"),
        (with_store(tasks=(task(), task(name="shop:two", counts={"DEAD": 2}))), "shop:two", "2 tasks of shop:two"),
    ],
    "unknown_task": [
        (with_store(tasks=(task(is_known=False, counts={"READY": 1}),)), "shop:send", "1 task waits for shop:send"),
        (with_store(tasks=(task(is_known=False, counts={"READY": 2}),)), "shop:send", "2 tasks wait for shop:send"),
    ],
    "queue_near_full": [
        (queue("mule", queued=800), "mule", "the queue of mule has 800 signals of 1000 that it can take."),
    ],
    "rejected_sends": [
        (
            state(rejected=3, rejected_at=NOW - 300),
            "queues",
            "3 sends were rejected since the start, the last",
        ),
    ],
    "slow_queue": [
        (
            replace(busy("mule1", "mule2", seconds=5.1), queues=queue("mule", queued=4).queues),
            "mule",
            "4 signals for mule wait: it has been busy for 5 s.",
        ),
        (
            replace(s := busy("mule1", seconds=70), processes=tuple(replace(p, queued=3) for p in s.processes[2:3])),
            "mule1",
            "3 signals for mule1 wait: it has been busy for 1m10s.",
        ),
        (state(signals=(signal(queued=1, waited=LONG),)), "7", "half of the signals 7 wait longer than 1.5 s."),
        (state(signals=(signal(name="refresh", queued=1, waited=LONG),)), "refresh", "half of the signals refresh"),
    ],
    "reload_failed": [
        (
            state(reload_failure=TRACEBACK, reload_failed_at=NOW - 5),
            "shop",
            "the new code was not loaded, the old code still runs: SyntaxError: invalid syntax.",
        ),
    ],
    "mixed_versions": [
        (
            replace(web(generation=1), loaded_at=NOW - 30.1),
            "worker1",
            "worker1 still runs code of generation 1, the others 2.",
        ),
        (replace(web(generation=1), loaded_at=NOW - 5.1, graceful_timeout=1.0), "worker1", "of generation 1"),
    ],
    "late_trigger": [
        (state(triggers=(trigger(late=1.1),)), "nightly", "a run of nightly (0 3 * * *) has been due for 1 s."),
    ],
    "missed_rule": [
        (
            state(triggers=(trigger(last_missed=NOW - 7200),)),
            "nightly",
            "the last run of nightly (0 3 * * *) was missed, 2h00m ago.",
        ),
    ],
    "unwatched_path": [
        (
            state(triggers=(trigger(kind="file", schedule="/etc/prices", fault="permission denied."),)),
            "/etc/prices",
            "/etc/prices cannot be watched: permission denied.",
        ),
    ],
    "leaking_process": [
        (
            with_process(rss=287 * MIB, rss_at_start=30 * MIB),
            "mule1",
            "mule1 has 287.0 MiB of memory. It had 30.0 MiB at its start.",
        ),
    ],
}
"""By code: a state, the subject of its problem, and a part of the text."""

WELL = {
    "nothing happens": state(),
    "no task was stored": state(store=None),
    "nothing is loaded": state(generation=0, loaded_at=None, is_loading=True, is_ready=False, processes=()),
    "a handler runs": with_process(running=(replace(HANDLER, is_overdue=False),)),
    "one early exit": with_process(early_exits=1, last_exit=EXIT),
    "a process was replaced": with_process(last_exit=EXIT, restarts=40),
    "a process is being replaced": with_process(**MISSING, missing_since=NOW - 3.0),
    "a process starts": with_process(status="starting", since=NOW - 30.0),
    "a process need not be there": with_process(**MISSING),
    "a web worker imports its application": web(**MISSING, missing_since=NOW - 15.0),
    "there is free space": with_store(free_bytes=64 * MIB),
    "tasks failed": with_store(tasks=(task(counts={"FAILED": 9, "CANCELLED": 1, "EXPIRED": 1}),)),
    "finished tasks of a removed function": with_store(tasks=(task(is_known=False),)),
    "paused tasks": with_store(tasks=(task(counts={"READY": 9}, is_paused=True),), paused=("shop:send",)),
    "tasks wait for a limit": with_store(tasks=(task(counts={"READY": 9}, held_back="limit"),)),
    "a warning about SQLite": with_store(warning="SQLite 3.40.1 may lose commits"),
    "a queue has much space": queue("mule", queued=799),
    "sends were rejected long ago": state(rejected=3, rejected_at=NOW - 300.1),
    "one mule of two is busy": replace(busy("mule1", seconds=60), queues=queue("mule", queued=4).queues),
    "the mules have just begun": replace(busy("mule1", "mule2", seconds=5), queues=queue("mule", queued=4).queues),
    "nothing waits for a busy mule": busy("mule1", "mule2", seconds=60),
    "signals waited long before": state(signals=(signal(waited=LONG),)),
    "signals wait for a short time": state(signals=(signal(queued=1, waited=replace(NONE, p50=1.0)),)),
    "workers are being replaced": replace(web(generation=1), loaded_at=NOW - 30.0),
    "a reload is under way": replace(web(generation=1), loaded_at=NOW - 300.0, is_loading=True),
    "a command keeps its code": replace(
        state(processes=(process("bot", "command", generation=1),)), loaded_at=NOW - 300.0
    ),
    "an old process exits": replace(web(generation=1, status="stopping"), loaded_at=NOW - 300.0),
    "a run is due": state(triggers=(trigger(late=1.0),)),
    "runs were missed before": state(triggers=(trigger(missed=9),)),
    "a process is large from the start": with_process(rss=1000 * MIB, rss_at_start=300 * MIB),
    "a small process has grown": with_process(rss=286 * MIB, rss_at_start=30 * MIB),
    "a process has grown to four times": with_process(rss=400 * MIB, rss_at_start=100 * MIB),
    "the memory at the start is not known": with_process(rss=1000 * MIB, rss_at_start=None),
}


def cases():
    """All unhealthy states, with their codes."""
    return [pytest.param(code, *case, id=code) for code, found in UNWELL.items() for case in found]


@pytest.mark.parametrize(("code", "unwell", "subject", "text"), cases())
def test_a_problem_is_found(code, unwell, subject, text):
    """And no other one."""
    (problem,) = problems(unwell)
    assert (problem.code, problem.subject) == (code, subject)
    assert text in problem.text


@pytest.mark.parametrize(("code", "unwell", "subject", "text"), cases())
def test_a_problem_is_told_in_two_sentences(code, unwell, subject, text):
    """What is wrong and what to do, each a line that ends with a full stop or a place."""
    (problem,) = problems(unwell)
    assert problem.text.endswith((".", "ago."))
    assert "\n" not in problem.text + problem.advice
    assert problem.advice[0].isupper()
    assert problem.severity in {"critical", "warning"}
    assert problem.since is None or problem.since <= NOW


@pytest.mark.parametrize("well", [pytest.param(state, id=name) for name, state in WELL.items()])
def test_a_healthy_server_has_no_problems(well):
    assert problems(well) == ()


def test_each_rule_has_a_case():
    assert {rule.code for rule in RULES} == set(UNWELL)


def test_a_problem_that_explains_another_one_is_told_alone():
    """A process in a crash loop, or a command that does not start, is missing for that reason."""
    gone = {**MISSING, "missing_since": NOW - 60, "early_exits": 5, "last_exit": EXIT}
    (problem,) = problems(with_process(**gone))
    assert problem.code == "crash_loop"
    failing = replace(WEB_SERVER, **gone, failure="exit code 1, 5 times")
    (problem,) = problems(state(processes=(failing,)))
    assert problem.code == "web_server_failing"


def test_the_advice_for_a_missing_process_depends_on_the_reason():
    """The web server did not start it, or the code does not load, or the log tells."""
    lost = with_process(**MISSING, missing_since=NOW - 60)
    web_worker = web(**MISSING, missing_since=NOW - 60)
    for unwell, advice in (lost, "Read the log"), (replace(lost, reload_failure="x"), "correct"), (web_worker, "join"):
        assert advice in problems(unwell)[0].advice


def test_the_worst_comes_first():
    """Critical problems in the order of the rules, then warnings."""
    unwell = replace(
        with_process(running=(HANDLER,), rss=2000 * MIB),
        store=store(free_bytes=1, tasks=(task(counts={"DEAD": 1}),)),
        rejected_at=NOW,
        triggers=(trigger(last_missed=NOW), trigger(late=9.0)),
    )
    assert [problem.code for problem in problems(unwell)] == [
        *("hung_handler", "full_disk", "rejected_sends"),
        *("dead_task", "late_trigger", "missed_rule", "leaking_process"),
    ]


def test_a_store_can_be_judged_alone():
    """While no server runs."""
    assert problems_of_store(store()) == ()
    found = problems_of_store(store(free_bytes=1, tasks=(task(counts={"DEAD": 1}),), fault="cannot be read"))
    assert [(problem.code, problem.severity) for problem in found] == [
        ("store_fault", "critical"),
        ("full_disk", "critical"),
        ("dead_task", "warning"),
    ]


def test_a_function_that_has_run_for_long_before_may_do_so_again():
    """A nightly report is no hung handler each night."""
    assert overdue_after(None) == overdue_after(2.5) == 5.0
    assert overdue_after(3600.0) == 7200.0
    assert overdue_after(0.1, least=60.0) == 60.0
