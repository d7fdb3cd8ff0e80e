"""The time that a container gives its first process to stop, which must be longer than the graceful timeout."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from heliograph.exceptions import ConfigError

_LOG = logging.getLogger("heliograph.master")

STOP_PERIOD_ENV = "HELIOGRAPH_STOP_PERIOD"
"""Variable with the seconds between SIGTERM and SIGKILL of the container. 0: they are not known, do not warn."""

DOCKER_STOP_PERIOD = 10.0
KUBERNETES_STOP_PERIOD = 30.0
"""Seconds by default."""
MARGIN = 2.0
"""Seconds that a stop takes besides the graceful timeout, to end the processes and remove the files."""


def warn_of_short_stop(graceful_timeout: float) -> None:
    """Warn if this process is the first one of a container that is killed before the server has stopped.

    Raises:
        ConfigError: `HELIOGRAPH_STOP_PERIOD` is no number of seconds.
    """
    if (warning := short_stop(os.getpid(), os.environ, graceful_timeout)) is not None:
        _LOG.warning("%s", warning)


def short_stop(pid: int, environ: Mapping[str, str], graceful_timeout: float) -> str | None:
    """Return the warning, None if the time suffices."""
    given = environ.get(STOP_PERIOD_ENV, "")
    if given:
        period, who = _seconds(given), f"{STOP_PERIOD_ENV} says that"
    elif pid != 1:
        return None  # not the first process, or of no container
    elif "KUBERNETES_SERVICE_HOST" in environ:
        period, who = KUBERNETES_STOP_PERIOD, "unless told otherwise,"
    else:
        period, who = DOCKER_STOP_PERIOD, "unless told otherwise,"
    if not period or graceful_timeout + MARGIN < period:
        return None
    return (
        f"A stop may lose work: {who} the container is killed {period:g} s after SIGTERM, and the graceful timeout is "
        f"{graceful_timeout:g} s. Give the container more than {graceful_timeout + MARGIN:g} s (docker stop --time, "
        f"stop_grace_period, terminationGracePeriodSeconds) and set {STOP_PERIOD_ENV} to them, or lower "
        "--graceful-timeout"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"invalid {STOP_PERIOD_ENV}: {text!r}. Set it to seconds, or to 0 if they are not known.")
    return seconds
