"""Checks that reject registrations which uWSGI accepts and later ignores."""

from __future__ import annotations

import uwsgi

from heliograph._core.signals.targets import parse
from heliograph.engines.uwsgi import introspection
from heliograph.exceptions import AlreadyRegistered, NotSupported, RegistrationError
from heliograph.models import HandlerOptions, Identity, Topology

MODULE_LEVEL = "Register at module level, where the application is loaded, since only the uWSGI master routes signals."


def check_master(num: int) -> None:
    """Raises: RegistrationError: uWSGI runs without a master."""
    if not uwsgi.masterpid():
        raise RegistrationError(num, "this uWSGI runs without a master. Start it with --master.")


def check_registration(num: int, target: str, options: HandlerOptions, process: Identity, topology: Topology) -> None:
    """Check that uWSGI routes this signal if `process` registers it now.

    Raises:
        NotSupported: The handler has its own time limit.
        RegistrationError: This process cannot register this target.
        AlreadyRegistered: Other code has registered the number.
    """
    if options.time_limit:
        raise NotSupported(
            f"uWSGI cannot limit a single handler: time_limit={options.time_limit:g}. Leave it out, and start uWSGI "
            "with --harakiri, --mule-harakiri or --spooler-harakiri SECONDS."
        )
    check_master(num)
    if process.role in ("mule", "spooler", "external"):
        raise RegistrationError(num, f"this process is a {process.role}. {MODULE_LEVEL}")
    if process.role == "worker":
        _check_in_worker(num, target, process, topology)
    elif uwsgi.signal_registered(num):
        raise AlreadyRegistered(
            num,
            "other code has registered it with uwsgi.register_signal, and uWSGI cannot replace that. "
            "Use another number.",
            old="(unknown: registered with uwsgi.register_signal)",
            new=options.name,
        )


def _check_in_worker(num: int, target: str, process: Identity, topology: Topology) -> None:
    if not introspection.is_lazy():
        raise RegistrationError(num, f"worker {process.number} is already forked. {MODULE_LEVEL}")
    if parse(target, topology).text != "worker":
        raise RegistrationError(
            num,
            f"with --lazy-apps uWSGI ignores the target {target!r}, since its master never loads the application. "
            "Drop --lazy-apps, register in a module given with --shared-pyimport, or use the target 'worker'.",
        )
