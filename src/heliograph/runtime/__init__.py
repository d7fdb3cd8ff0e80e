"""The API for applications. Names and behaviour match the runtime package of `uwsgiconf`."""

from typing import TYPE_CHECKING, Any

from heliograph.models import SignalDescription
from heliograph.runtime.hooks import Failure, on_failure, on_start, on_stop
from heliograph.runtime.membership import join, join_server, leave, leave_server
from heliograph.runtime.monitoring import register_file_monitor
from heliograph.runtime.mules import Farm, Mule
from heliograph.runtime.platform import uwsgi
from heliograph.runtime.scheduling import register_cron, register_timer, register_timer_ms, register_timer_rb
from heliograph.runtime.signals import (
    REGISTERED_SIGNALS,
    Signal,
    TypeTarget,
    get_available_num,
    get_last_received,
)

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

TASK_NAMES = frozenset(
    {
        *("NoRetry", "Retry", "Task", "TaskContext", "TaskResult", "TaskStatus"),
        *("aget_result", "get_result", "progress", "task"),
    }
)
"""Names that are imported from `heliograph.runtime.tasks` at their first use."""

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
    "task",
    "uwsgi",
]


def __getattr__(name: str) -> Any:
    """Import the names of tasks at their first use. A server without tasks does not need msgspec."""
    if name not in TASK_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from heliograph.runtime import tasks  # noqa: PLC0415 - see above

    return getattr(tasks, name)
