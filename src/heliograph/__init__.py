"""heliograph: uWSGI's signal framework as a library.

Map of the package, from the ground up; a room imports only from floors below it:

    exceptions, values   the tree of errors; frozen values
    _core                pure decisions: targets, table, handlers, packet, accounts
    port                 what an engine promises
    engines              uwsgi, local, inline, detached; `engines.current()` is this process's
    runtime              what an application imports: signals, mules, platform
    server               our own server: master, template; `serve()`
    contrib              for WSGI and ASGI servers that are not known, gunicorn, Django; nothing imports it
    application          where an application is, and how it is loaded
    watching             what happens to files
    remote               a signal to any server that speaks the uwsgi protocol
    cli                  the `heliograph` command
    testing              pytest fixture and the conformance suite
"""

from heliograph.exceptions import UwsgiconfException
from heliograph.runtime import (
    REGISTERED_SIGNALS,
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
    register_cron,
    register_file_monitor,
    register_timer,
    register_timer_ms,
    register_timer_rb,
    uwsgi,
)
from heliograph.server import serve

__version__ = "0.1.0"

__all__ = [
    "REGISTERED_SIGNALS",
    "Farm",
    "Mule",
    "Signal",
    "SignalDescription",
    "TypeTarget",
    "UwsgiconfException",
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
    "serve",
    "uwsgi",
]
