"""What an application imports. Names and behaviour are those of the `uwsgiconf` runtime package."""

from heliograph.runtime.joining import join, leave
from heliograph.runtime.mules import Farm, Mule
from heliograph.runtime.platform import uwsgi
from heliograph.runtime.signals import (
    REGISTERED_SIGNALS,
    Signal,
    TypeTarget,
    get_available_num,
    get_last_received,
)
from heliograph.values import SignalDescription

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
    "leave",
    "uwsgi",
]
