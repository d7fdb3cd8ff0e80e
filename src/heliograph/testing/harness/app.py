"""The application on stage. Import it in a server with 2 workers, 2 mules, a farm `crunchers` of both, a spooler.

A server without mules (`--lazy-apps` on uWSGI, whose mules never load the application) gets the workers' part.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from heliograph import (
    REGISTERED_SIGNALS,
    Farm,
    Mule,
    Signal,
    SignalDescription,
    TypeTarget,
    engines,
    get_available_num,
    uwsgi,
)
from heliograph.runtime.monitoring import register_file_monitor
from heliograph.runtime.scheduling import (
    get_triggers,
    register_cron,
    register_timer,
    register_timer_ms,
    register_timer_rb,
)
from heliograph.testing.harness.agent import HUB, LOG, Agent, block_until, record_event

LAZY = engines.current().identity.role == "worker" and engines.current().name == "uwsgi"
"""Whether this server's processes load the application one by one, and route by the master's empty table."""

POOL: dict[int, TypeTarget] = {10: None, 11: "", 12: "worker", 13: "worker0"}
WORKERS: dict[int, TypeTarget] = {14: "worker1", 15: "worker2", 16: "workers", 17: "active-workers"}
MULES: dict[int, TypeTarget] = {20: "mule", 21: "mule0", 22: "mule1", 23: "mule2", 24: "mules", 25: Mule(1), 26: 2}
FARMS: dict[int, TypeTarget] = {30: "farm1", 31: "farm_crunchers", 32: Farm("crunchers")}
SPOOLER: dict[int, TypeTarget] = {35: "spooler"}

OTHERS: dict[str, int] = {"worker1": 40, "worker2": 41, "mule1": 42, "mule2": 43, "spooler1": 44}
"""Second signals of single processes, for order."""
CONTROL: dict[str, int] = {"worker1": 50, "worker2": 51, "mule1": 52, "mule2": 53, "spooler1": 54}
"""Signals by which an agent gets a job into a handler of its process."""

NO_ARGUMENTS, FAILING, EXITING, REPLACED, RESTARTED, HELD = 60, 61, 62, 63, 64, 65
CALLED_BACK, DECORATED, PROBE = 248, 249, 251

LOADED: dict[str, Any] = {}
"""What the tests wanted to be tried while the application was loaded: name -> value, or the exception."""


def _target_of(name: str) -> str:
    return "spooler" if name == "spooler1" else name


def _target_for(name: str) -> TypeTarget:
    return None if LAZY else name


def _no_arguments() -> None:
    record_event(NO_ARGUMENTS)


def _failing(num: int) -> None:
    record_event(num)
    raise LookupError(f"signal {num} fails on purpose")


def _exiting(num: int) -> None:
    record_event(num)
    sys.exit(0)


def _replaced(num: int) -> None:
    raise AssertionError(f"the handler of signal {num} was replaced and must not run")


def _held(num: int) -> None:
    record_event(num)
    block_until(f"{os.path.dirname(os.environ[LOG])}/let-go")  # noqa: PTH120


def _wants_two(_one: int, _two: int) -> None: ...


def _run_job(num: int) -> None:  # noqa: ARG001 - whichever control signal it was
    AGENT.run_waiting_job()


def _register(signals: Iterable[tuple[int, TypeTarget]], func: Callable[..., Any]) -> None:
    for num, target in signals:
        Signal(num).register_handler(target)(func)


def _try(name: str, attempt: Callable[[], Any]) -> None:
    try:
        LOADED[name] = attempt()
    except Exception as failure:  # noqa: BLE001 - kept for the test to judge
        LOADED[name] = failure


def _probe(target: Any, func: Any = record_event) -> Callable[[], Any]:
    return lambda: Signal(PROBE).register_handler(target)(func)


def _half_done() -> tuple[bool, bool]:
    return PROBE in REGISTERED_SIGNALS, engines.current().signal_registered(PROBE)


def _decorate() -> list[Any]:
    """Register one free number in every form there is, and look."""
    num = DECORATED
    order: list[Any] = []

    def func() -> None: ...

    def seen(signal: Signal) -> None:
        order.append((int(signal), signal.num in REGISTERED_SIGNALS))

    target = REGISTERED_SIGNALS[10].target
    forms: list[Any] = [
        Signal(num).register_handler(),
        Signal(num),
        Signal(num).register_handler(target),
        Signal(num).register_handler(target, seen),
        Signal(num).register_handler(target=target, callback=seen),
        Signal(num).register_handler,
    ]
    unchanged = [form(func) is func for form in forms]
    description = REGISTERED_SIGNALS[num]
    return [
        all(unchanged),
        order,
        type(description) is SignalDescription,
        description[:2],
        description.func is func,
    ]


def _callback_that_raises(signal: Signal) -> None:
    raise LookupError(signal)


def _callback_raises() -> tuple[str, bool]:
    """What the caller sees of a callback that raises, and whether the registration stands."""
    with contextlib.suppress(LookupError):
        Signal(CALLED_BACK).register_handler(callback=_callback_that_raises)(lambda: None)
        return "nothing", False
    return "LookupError", CALLED_BACK in REGISTERED_SIGNALS


def _try_what_must_fail() -> None:
    for target in ("bogus", "workerx", "worker-1", "worker01", "mule9", "worker9", "farm9", "farm_none", "x" * 64):
        _try(f"target {target}", _probe(target))
    for thing in (Signal(1), True, 1.5, b"worker"):
        _try(f"target {thing!r}", _probe(thing))
    for func in (None, 5, "text"):
        _try(f"handler {func!r}", _probe(None, func))
    _try("handler of two", _probe(None, _wants_two))
    _try("target after a claim", lambda: (get_available_num(), int(Signal()), int(Signal()), get_available_num()))
    if LAZY:
        _try("lazy mule", _probe("mule1"))
    else:
        _try("send", lambda: Signal(10).send())
    LOADED["half done"] = _half_done()
    _try("move", lambda: Signal(REPLACED).register_handler("worker2" if not LAZY else "worker1")(record_event))


_register(POOL.items(), record_event)
_try("decorate", _decorate)
_try("callback raises", _callback_raises)
_register([(num, _target_for(_target_of(name))) for name, num in CONTROL.items() if name == "worker1"], _run_job)
if not LAZY:
    _register([*WORKERS.items(), *MULES.items(), *FARMS.items(), *SPOOLER.items()], record_event)
    _register([(num, _target_of(name)) for name, num in OTHERS.items()], record_event)
    _register([(num, _target_of(name)) for name, num in CONTROL.items() if name != "worker1"], _run_job)
    _register([(RESTARTED, "mule2")], record_event)
    _register([(HELD, "mule2")], _held)
TICKS = None if LAZY else "spooler"
EVERY, THRICE, MILLISECONDS, MINUTELY, WATCHED, CHANGING, MANY = 70, 71, 72, 73, 74, 75, 76
_register([(num, TICKS) for num in (EVERY, THRICE, MINUTELY, WATCHED, CHANGING, MANY)], record_event)
_register([(MILLISECONDS, None if LAZY else "worker2")], record_event)


def _declare_sources() -> None:
    register_timer(0.1, target=Signal(EVERY), name="tick")(record_event)
    register_timer_rb(0.1, repeat=3, coalesce=False, target=Signal(THRICE))(record_event)
    register_timer_ms(100, target=Signal(MILLISECONDS))(record_event)
    register_cron(target=Signal(MINUTELY))(record_event)
    register_timer(3600, target=Signal(CHANGING), name="changing")(record_event)
    watched = f"{os.path.dirname(os.environ[LOG])}/watched"  # noqa: PTH120 - also when the log is not there yet
    register_file_monitor(watched, target=Signal(WATCHED), missing_ok=True)(record_event)
    LOADED["watched"] = watched
    for _ in range(100):
        register_timer(3600, target=Signal(MANY))(record_event)
    LOADED["a hundred timers"] = sum(trigger.num == MANY for trigger in get_triggers())
    for period in (0, -1, float("nan"), True, "1"):
        _try(f"period {period!r}", _timer_of(period))
    for field, value in {"minute": 99, "hour": 24, "day": 32, "month": 13, "weekday": 8}.items():
        _try(f"cron {field}={value}", _cron_of(field, value))
    _try("cron expression='* * *'", lambda: register_cron("* * *"))
    _try("monitor of nothing", lambda: register_file_monitor("/nowhere/at/all"))


def _timer_of(period: Any) -> Callable[[], Any]:
    return lambda: register_timer(period)


def _cron_of(field: str, value: int) -> Callable[[], Any]:
    def declare() -> Any:
        fields: dict[str, Any] = {field: value}
        return register_cron(**fields)

    return declare


_declare_sources()
HANDLERS_GO_TO = None if LAZY else "worker1"
_register([(NO_ARGUMENTS, HANDLERS_GO_TO)], _no_arguments)
_register([(FAILING, HANDLERS_GO_TO)], _failing)
_register([(EXITING, None if LAZY else "mule2")], _exiting)
_register([(REPLACED, HANDLERS_GO_TO)], _replaced)
_register([(REPLACED, HANDLERS_GO_TO)], record_event)
Signal(name="stage").register_handler(HANDLERS_GO_TO)(record_event)
_try_what_must_fail()

AGENT = Agent()


@uwsgi.postfork_hooks.add()
def _start_agent() -> None:
    if HUB in os.environ:
        AGENT.start(CONTROL["worker1" if LAZY else str(engines.current().identity)])


@uwsgi.postfork_hooks.add()
def _fail() -> None:
    raise LookupError("a post-fork hook that fails on purpose")


HOOKS: list[str] = []


@uwsgi.postfork_hooks.add()
def _note_hook() -> None:
    HOOKS.append(str(engines.current().identity))


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer any request, so that the server has something to serve."""
    del environ
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"on stage\n"]
