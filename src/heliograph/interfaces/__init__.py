"""Interfaces between the layers: the roles of an engine, a clock, and the store of tasks."""

from heliograph.interfaces.engine import (
    Clock,
    Engine,
    Handler,
    HandlerInterrupted,
    Processes,
    SignalRouting,
    SignalSending,
    SignalWaiting,
    TaskStorage,
    TriggerHosting,
    Wakeups,
    WebServerMembership,
)

__all__ = [
    "Clock",
    "Engine",
    "Handler",
    "HandlerInterrupted",
    "Processes",
    "SignalRouting",
    "SignalSending",
    "SignalWaiting",
    "TaskStorage",
    "TriggerHosting",
    "Wakeups",
    "WebServerMembership",
]
