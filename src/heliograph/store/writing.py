"""A transaction that writes, under the gate."""

from __future__ import annotations

import logging
import sqlite3
from types import TracebackType
from typing import TYPE_CHECKING, Self

from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.store import identity
from heliograph.store.faults import CORRUPT, store_error
from heliograph.store.waiting import find_waiters, remove_waiters, tell

if TYPE_CHECKING:
    from heliograph.store.database import Database

_LOG = tolerant_logger("heliograph.tasks")


class Writing:
    """A context manager. Leaving it commits, an exception rolls back.

    `token` is the number of the transaction, which no other one gets. `last_number` is that of the newest task that it
    stores. `ended` are the tasks whose end others may wait for. `deaths` are the lines to log of tasks whose process
    died while it ran them: they are logged after the transaction, so that a blocked log does not hold up others.
    """

    token: int

    def __init__(self, database: Database, action: str) -> None:
        self._database = database
        self._action = action
        self._changes = 0
        self.last_number = 0
        self.ended: list[int] = []
        self.deaths: list[tuple[int, str]] = []
        self._told: list[str] = []

    def __enter__(self) -> Self:
        database = self._database
        self._gate = database.enter()
        try:
            database.check_before()
            writer = database.writer
            writer.execute("BEGIN IMMEDIATE")
            self._changes = writer.total_changes
            self.token = database.token()
        except BaseException as error:
            if database.pid and database.writer.in_transaction:
                database.writer.execute("ROLLBACK")
            self._gate.__exit__(None, None, None)
            if isinstance(error, (sqlite3.Error, OSError)):
                raise store_error(error, database.directory, self._action) from error
            raise
        return self

    def note_death(self, number: int, attempt: int, *, dead: bool) -> None:
        """Note that the process of a task died while it ran it, to be logged after the transaction."""
        task = self._database.ids.make(number)
        text = f"A process ended while it ran task {task} (attempt {attempt})"
        if dead:
            hint = f"See heliograph tasks show {task}, and run it again by heliograph tasks retry {task}"
            self.deaths.append((logging.ERROR, f"{text}. The task is dead and will not run again. {hint}"))
        else:
            self.deaths.append((logging.WARNING, text))

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection that writes."""
        return self._database.writer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                error = self._commit()
            if error is not None:
                self._undo(error)
        finally:
            self._gate.__exit__(None, None, None)
        for level, text in self.deaths:
            _LOG.log(level, "%s", text)

    def _commit(self) -> Exception | None:
        database = self._database
        writer = database.writer
        try:
            if self.ended and database.identity.numbers[identity.WAITERS]:
                self._told = find_waiters(writer, self.ended)
                if database.unreachable:
                    left = remove_waiters(writer, database.unreachable)
                    database.identity.numbers[identity.WAITERS] = int(left)
                    database.unreachable = []
            if writer.total_changes == self._changes:
                writer.execute("ROLLBACK")
                self._tell()
                return None
            writer.execute("UPDATE meta SET changes = ?", (self.token,))
            writer.execute("COMMIT")
        except sqlite3.Error as error:
            return error
        database.check_after()
        numbers = database.identity.numbers
        numbers[identity.CHANGES] = self.token
        if self.last_number:
            numbers[identity.COMMITTED] = self.last_number
        self._tell()
        return None

    def _tell(self) -> None:
        """Tell those that wait for a task. Their process may be gone."""
        if self._told:
            self._database.unreachable += tell(self._database.directory, self._told)

    def _undo(self, error: BaseException) -> None:
        database = self._database
        database.kinds.clear()
        if database.pid and database.writer.in_transaction:
            database.writer.execute("ROLLBACK")
        if isinstance(error, (sqlite3.Error, OSError)):
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in CORRUPT:
                database.abandon()
            raise store_error(error, database.directory, self._action) from error
