"""heliograph: the signal framework of uWSGI as a library.

You send a signal from any process of your application, and heliograph runs its handler in a web worker or in a
background process. The package has layers, and a module imports only from lower layers. From the lowest to the highest:

    exceptions, models      the tree of exceptions; frozen values that all layers share
    loop                    the event loop of the master, and the services that run on it
    _core                   decisions without clock, socket or process: targets, names, schedules, supervision, counters
    watching, application   file changes; finding and loading an application
    interfaces              the roles of an engine, and a clock
    timing, settings        clocks and time zones; the table of options and addresses
    ipc, remote             shared memory, pipes and control sockets; signals to another server
    triggers                the scheduler for timers, cron rules and file monitors
    engines                 delivery of signals: uwsgi, local, inline, detached
    tasks                   functions with arguments: codec, attempts, turns, results
    runtime                 the API for applications: signals, triggers, tasks, mules, platform
    server                  the heliograph server: master, fork server, `serve()`
    insights                views of a running server, read from its shared memory
    contrib                 Django, gunicorn, WSGI and ASGI middlewares
    cli                     the `heliograph` command
    testing                 the pytest plugin, and the conformance suite that every engine passes
"""

from typing import TYPE_CHECKING, Any

from heliograph.exceptions import UwsgiconfException
from heliograph.runtime import (
    REGISTERED_SIGNALS,
    Failure,
    Farm,
    Mule,
    Signal,
    SignalDescription,
    TypeTarget,
    get_available_num,
    get_last_received,
    join,
    join_server,
    leave,
    leave_server,
    on_failure,
    on_start,
    on_stop,
    register_cron,
    register_file_monitor,
    register_timer,
    register_timer_ms,
    register_timer_rb,
    uwsgi,
)
from heliograph.server import serve

if TYPE_CHECKING:
    from heliograph.runtime.tasks import (
        NoRetry,
        Retry,
        Task,
        TaskContext,
        TaskResult,
        TaskStatus,
        aget_result,
        get_result,
        progress,
        task,
    )

__version__ = "0.1.0"

__all__ = [
    "REGISTERED_SIGNALS",
    "Failure",
    "Farm",
    "Mule",
    "NoRetry",
    "Retry",
    "Signal",
    "SignalDescription",
    "Task",
    "TaskContext",
    "TaskResult",
    "TaskStatus",
    "TypeTarget",
    "UwsgiconfException",
    "aget_result",
    "get_available_num",
    "get_last_received",
    "get_result",
    "join",
    "join_server",
    "leave",
    "leave_server",
    "on_failure",
    "on_start",
    "on_stop",
    "progress",
    "register_cron",
    "register_file_monitor",
    "register_timer",
    "register_timer_ms",
    "register_timer_rb",
    "serve",
    "task",
    "uwsgi",
]


def __getattr__(name: str) -> Any:
    """Import the names of tasks at their first use. A server without tasks does not need msgspec."""
    from heliograph import runtime  # noqa: PLC0415 - see above

    if name not in runtime.TASK_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(runtime, name)
