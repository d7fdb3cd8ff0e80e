"""The capabilities that not every engine has, and the reason why an engine lacks one."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Limitation(NamedTuple):
    """The reason why a guarantee does not hold."""

    short: str
    """A few words for the table of guarantees."""
    long: str
    """The explanation below the table."""
    is_mode: bool = False
    """True if the capability is not an ability, but the engine or mode that a test is about."""


class Capability(Enum):
    """An ability or mode that a test can need. The value is the reason why an engine lacks it.

    The most important reason comes first.
    """

    MULES = Limitation(
        "any worker only",
        "With `--lazy-apps` uWSGI routes by the table of its master, and the application never fills that table. "
        "heliograph rejects any target except `worker` at registration (S12). In a module that the master imports "
        "(`--shared-pyimport`) every target works.",
    )
    """Mules, farms, spoolers, and targets of single processes."""

    SERVER = Limitation(
        "one process",
        "The inline engine runs all processes in one, one after another. Nothing runs at the same time, and no "
        "process can be killed.",
    )
    """Real processes that a test can kill."""

    LIMITED_WAIT = Limitation(
        "no timeout",
        "heliograph cannot interrupt a wait in uWSGI. It rejects a timeout with `NotSupported`. A wait without a "
        "timeout works.",
    )
    """`wait(timeout=...)`."""

    SERIAL_WORKERS = Limitation(
        "not in workers",
        "With `--threads` each thread of a uWSGI worker takes signals. Two handlers run at the same time, and a thread "
        "that waits could miss its signal. The guarantee holds in mules and spoolers. heliograph rejects a wait in "
        "such a worker.",
    )
    """A worker handles one signal at a time."""

    MOVABLE_TARGETS = Limitation(
        "same target only",
        "The master of uWSGI cannot change the target of a registered signal. Another handler for the same target "
        "replaces the first. Another target is an error that names both handlers.",
    )
    """A number can get another target."""

    REDELIVERY = Limitation(
        "as in uWSGI",
        "uWSGI does not record which signal a process handles. If the process is killed, that signal is lost.",
    )
    """The unfinished signals of a killed process are delivered again."""

    UWSGI = Limitation("tested on uWSGI only", "The suite tests this on uWSGI only.", is_mode=True)
    """The engine is uWSGI."""

    COALESCING = Limitation(
        "every run is queued",
        "uWSGI queues every run of a trigger, even if the previous one is still queued.",
    )
    """A trigger skips a run while the previous one is queued."""

    COALESCED_HANDLERS = Limitation(
        "runs for each",
        "With `--lazy-apps` a process of uWSGI does not know which sockets hold its queues, so a handler with "
        "`coalesce=True` runs for each signal.",
    )
    """A handler with `coalesce=True` runs once for all that are queued."""

    FAKE_CLOCK = Limitation(
        "real time",
        "The suite tests this with a fake clock. Every engine uses the same schedule.",
        is_mode=True,
    )
    """The test advances the time itself."""

    REAL_MINUTES = Limitation(
        "tested in another mode",
        "The test waits for a full minute, so the suite runs it on one server of each kind.",
        is_mode=True,
    )
    """The test has time to wait for a full minute."""

    LOCAL = Limitation("heliograph server only", "uWSGI and the inline engine have no such listener.", is_mode=True)
    """The engine is the heliograph server."""

    LAZY_APPS = Limitation(
        "nothing to reject",
        "The guarantee is about uWSGI with `--lazy-apps`. Here you can register every target.",
        is_mode=True,
    )
    """The engine is uWSGI, and each process loads the application itself."""

    THREADS = Limitation("no threads", "The guarantee is about uWSGI with `--threads`.", is_mode=True)
    """The engine is uWSGI, and its workers have threads."""

    LOADS_ONCE = Limitation(
        "no such moment",
        "With `--lazy-apps` each process loads the application after the server has started.",
    )
    """The application is loaded once, before the processes are forked."""


_C = Capability
_UWSGI = frozenset({_C.SERVER, _C.UWSGI})
_LOCAL = frozenset(
    {
        *(_C.SERVER, _C.LOCAL, _C.MULES, _C.SERIAL_WORKERS),
        *(_C.MOVABLE_TARGETS, _C.LIMITED_WAIT, _C.REDELIVERY, _C.COALESCING),
        _C.COALESCED_HANDLERS,
    }
)
HARNESSES: dict[str, frozenset[Capability]] = {
    "uwsgi plain": _UWSGI | {_C.MULES, _C.SERIAL_WORKERS, _C.REAL_MINUTES, _C.LOADS_ONCE, _C.COALESCED_HANDLERS},
    "uwsgi lazy": _UWSGI | {_C.LAZY_APPS, _C.SERIAL_WORKERS},
    "uwsgi threads": _UWSGI | {_C.MULES, _C.THREADS, _C.LOADS_ONCE, _C.COALESCED_HANDLERS},
    "local plain": _LOCAL | {_C.REAL_MINUTES, _C.LOADS_ONCE},
    "local lazy": _LOCAL,
    "local webserver": _LOCAL,
    "local gevent": _LOCAL,
    "inline": frozenset(
        {
            *(_C.MULES, _C.SERIAL_WORKERS, _C.MOVABLE_TARGETS),
            *(_C.LIMITED_WAIT, _C.COALESCING, _C.COALESCED_HANDLERS, _C.FAKE_CLOCK),
        }
    ),
}
"""The capabilities of each harness, by its name. The names are the columns of the table of guarantees."""
