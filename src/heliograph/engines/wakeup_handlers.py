"""The hidden handlers of wake-ups in this process, for every engine."""

from __future__ import annotations

from collections.abc import Callable

from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.exceptions import AlreadyRegistered
from heliograph.interfaces import Handler

_LOG = tolerant_logger("heliograph.tasks")

Turn = Callable[[], object]
"""Lets this process look for tasks, and run them."""


class WakeupHandlers:
    """The targets of tasks that this process knows, each with its signal number."""

    def __init__(self, closed: Callable[[], bool] = lambda: False) -> None:
        """`closed()` returns True while the server stops. Then a wake-up that was queued earlier runs nothing."""
        self._closed = closed
        self.numbers: dict[str, int] = {}
        """Target -> signal number."""
        self._turns: dict[int, Turn] = {}

    def add(self, target: str, num: int, run: Turn) -> Handler:
        """Call `run()` for each wake-up from now on. Return the handler to register for the number."""
        self.numbers[target] = num
        self._turns[num] = run
        return self.run

    def replace(self, target: str, run: Turn) -> bool:
        """Replace the function of a target. Return False if the target is unknown."""
        num = self.numbers.get(target)
        if num is None:
            return False
        self._turns[num] = run
        return True

    def numbers_for(self, target: str) -> tuple[int, ...]:
        """Return the numbers that wake a target. For an unknown one, all: one of them looks after its tasks."""
        num = self.numbers.get(target)
        return tuple(self.numbers.values()) if num is None else (num,)

    def target_of(self, num: int) -> str | None:
        """Return the target that the number wakes. None if it is an ordinary signal."""
        return next((target for target, known in self.numbers.items() if known == num), None)

    def __contains__(self, num: object) -> bool:
        """Return True if the number wakes a target in this process."""
        return num in self._turns

    def check_free(self, num: int, name: str) -> None:
        """Check that an application may register that number. Raises: AlreadyRegistered: it wakes a target."""
        if num in self._turns:
            text = f"the server wakes {self.target_of(num)!r} for tasks with it. Use another number."
            raise AlreadyRegistered(num, text, old="tasks", new=name)

    def run(self, num: int) -> Exception | None:
        """Run the turn of that number. Log and return its exception."""
        if self._closed():
            return None
        try:
            self._turns[num]()
        except Exception as failure:  # noqa: BLE001 - a failing turn must not end its process
            _LOG.exception("Cannot run tasks for %s", self.target_of(num))
            return failure
        return None
