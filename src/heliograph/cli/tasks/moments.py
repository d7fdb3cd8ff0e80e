"""Times on the command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from heliograph.exceptions import InvalidTask

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+")

_TOO_LONG = "{!r} is too long. Use a time of at most 100 years."
_NO_ZONE = "{!r} has no time zone. Add it: 2026-12-01T09:00:00Z, 2026-12-01T10:00+01:00."


# click has generic types of parameters from 8.4 on only.
if TYPE_CHECKING:
    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType


class MomentType(_Type):
    """Reads a time from now (`90s`, `10m`, `1h30m`), or a time with a zone (`2026-12-01T09:00:00Z`)."""

    name = "WHEN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime | timedelta:
        """Return the time. Fails with the forms that it can have."""
        from heliograph._core.tasks.times import instant  # noqa: PLC0415 - only one command needs it

        try:
            found = _read(str(value))
            instant(str(param and param.opts[0]), found, 0)
        except OverflowError:
            self.fail(_TOO_LONG.format(value), param, ctx)
        except InvalidTask:
            self.fail(
                _TOO_LONG.format(value) if _DURATION.fullmatch(str(value)) else _NO_ZONE.format(value), param, ctx
            )
        except ValueError:
            self.fail(
                f"{value!r} is no time. Use a time from now (90s, 10m, 1h30m, 2d) or a time with its zone "
                "(2026-12-01T09:00:00Z, 2026-12-01T10:00+01:00).",
                param,
                ctx,
            )
        return found


def _read(text: str) -> datetime | timedelta:
    if _DURATION.fullmatch(text):
        return sum(
            (timedelta(**{_UNITS[unit]: float(number)}) for number, unit in _PART.findall(text)), start=timedelta()
        )
    return datetime.fromisoformat(text)
