"""The API for applications. Names and behaviour match the runtime package of `uwsgiconf`."""

from heliograph.models import SignalDescription
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

__all__ = [
    "REGISTERED_SIGNALS",
    "Farm",
    "Mule",
    "Signal",
    "SignalDescription",
    "TypeTarget",
    "get_available_num",
    "get_last_received",
    "join",
    "join_server",
    "leave",
    "leave_server",
    "register_cron",
    "register_file_monitor",
    "register_timer",
    "register_timer_ms",
    "register_timer_rb",
    "uwsgi",
]
