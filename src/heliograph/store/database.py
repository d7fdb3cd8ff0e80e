"""The database of a store in this process: two connections, the gate, the identity and the owners.

It is opened when it is first used, in the process that uses it. A connection that was inherited through a fork makes
SQLite take no lock at all, so a forked child closes what it inherited before it opens its own.

Nothing but SQLite opens the database file here: closing any other descriptor of it would free SQLite's locks.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any

from heliograph._core.tasks.ids import TaskIds
from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.exceptions import StoreError
from heliograph.ipc.store_directory import DATABASE, IDENTITY, OWNERS, make_directory
from heliograph.store import forks, identity
from heliograph.store.connections import Connections, check_not_abandoned
from heliograph.store.faults import damaged, removed, store_error, verifying_error
from heliograph.store.gate import GATE_TIMEOUT, Gate
from heliograph.store.identity import Identity
from heliograph.store.kinds import Kinds
from heliograph.store.live_files import LiveFiles, log_fault, log_size
from heliograph.store.opening import BUSY_TIMEOUT, catch_up, connect_to_read, create_or_verify, has_running
from heliograph.store.owners import OwnersFile
from heliograph.store.verifying import verify
from heliograph.store.writing import Writing

_LOG = tolerant_logger("heliograph.tasks")

MAX_LOG = 8 << 20
"""Bytes of the write-ahead log that stay while the store is idle, at most."""


class Database:
    """The open files of a store, in one process."""

    def __init__(self, directory: str, *, sync: bool = True, timeout: float = GATE_TIMEOUT) -> None:
        self.directory = directory
        self.path = os.path.join(directory, DATABASE)
        self.sync = sync
        self.timeout = timeout
        self.uptime: Callable[[], int] | None = None
        """Return microseconds by a clock that cannot be set."""
        self.pid = 0
        self.gate: Gate
        self.identity: Identity
        self.owners: OwnersFile
        self.ids: TaskIds
        self.writer: sqlite3.Connection
        self._connections: Connections
        self.read_lock = threading.RLock()
        self._inode = (0, 0)
        self._files: LiveFiles
        self.opening = threading.RLock()
        self.kinds = Kinds()
        self._was_lost = False
        """The files were found removed or replaced. This process does not make a store in their place."""
        self._notice: str | None = None
        self.unreachable: list[str] = []
        """Addresses of processes that waited for a task and are gone. The next transaction removes them."""
        forks.register(self)

    def ready(self) -> None:
        """Open everything if this process has not. Raises: StoreError: that failed, or the store is damaged."""
        if self.pid != os.getpid():
            self.forget()
            with self.opening:
                if self.pid == 0:
                    self._open()
        elif self._notice is not None:
            notice, self._notice = self._notice, None
            _LOG.warning("%s", notice)

    def _open(self) -> None:
        if self._was_lost and not os.path.exists(self.path):
            raise self._removal("its database was removed")
        try:
            make_directory(self.directory, allow_any=True)  # the server has checked that already
            self.gate = Gate(self.directory, self.timeout)
        except OSError as error:
            raise store_error(error, self.directory, "open the store of tasks") from error
        try:
            with self.gate:
                self._open_files()
        except (sqlite3.Error, OSError) as error:
            self.gate.close()
            raise store_error(error, self.directory, "open the store of tasks") from error
        self.pid = os.getpid()

    def _open_files(self) -> None:
        if os.path.exists(self.path):
            found = os.stat(self.path)
            check_not_abandoned((found.st_dev, found.st_ino), self.directory)
        self.identity = create_or_verify(self.directory, self.path)
        self.owners = OwnersFile.get(os.path.join(self.directory, OWNERS), lambda: has_running(self.path))
        self.ids = TaskIds(self.identity.key)
        self._connect()
        catch_up(self.writer, self.identity, sync=self.sync)
        found = os.stat(self.path)
        self._inode = found.st_dev, found.st_ino
        self._files = LiveFiles(self.path)
        if not self._files.is_shared:
            self._connections.close()
            raise damaged(self.directory, "its files have changed while this process used them")
        self.identity.numbers[identity.MODIFIED] = found.st_mtime_ns
        self.identity.numbers[identity.LOG_BYTES] = self.log_size()
        self.identity.note_inode(found.st_ino)

    def _connect(self) -> None:
        self._connections = Connections(self.path, sync=self.sync)
        self.writer = self._connections.writer

    def check_before(self) -> None:
        """Check that the open files are still those of the directory. The caller holds the gate."""
        found = self._stat()
        if not self.identity.is_in_place():
            self._lost(f"its file {IDENTITY!r} was removed, replaced or emptied")
        self._check_log()
        if not self._files.has_index():
            self._reopen()
        numbers = self.identity.numbers
        if found.st_mtime_ns != numbers[identity.MODIFIED] or self._files.log_bytes < numbers[identity.LOG_BYTES]:
            self._check_thoroughly()
            numbers[identity.MODIFIED] = found.st_mtime_ns
            numbers[identity.LOG_BYTES] = self._files.log_bytes

    def _check_thoroughly(self) -> None:
        """Check all pages: a process was killed during a checkpoint, or somebody else has written to the files."""
        try:
            with contextlib.closing(connect_to_read(self.path)) as connection:
                verify(connection, self.identity, self.directory, thorough=True)
        except (sqlite3.Error, StoreError) as error:
            self.abandon()
            raise verifying_error(error, self.directory, log_fault(self.path, self.identity)) from error

    def check_after(self) -> None:
        """Check that what was committed is where others look for it. The caller holds the gate."""
        found = self._stat()
        self._check_log()
        numbers = self.identity.numbers
        if found.st_mtime_ns != numbers[identity.MODIFIED]:
            numbers[identity.MODIFIED] = found.st_mtime_ns
        if self._files.log_bytes != numbers[identity.LOG_BYTES]:
            if self.sync and self._files.log_bytes > numbers[identity.LOG_BYTES]:
                self._files.lengthen_log()
            numbers[identity.LOG_BYTES] = self._files.log_bytes

    def _check_log(self) -> None:
        fault = self._files.log_fault()
        if fault is not None:
            self._lost(fault)

    def _reopen(self) -> None:
        """Open the database again, since its log has another index. The caller holds the gate."""
        if self.writer.in_transaction:
            self._lost("the index of its log was removed or replaced")
        with self.read_lock:
            self._connections.close()
            try:
                self._connect()
            except (sqlite3.Error, OSError) as error:
                self.pid = 0
                self.owners.release()
                raise store_error(error, self.directory, "use the store of tasks") from error
            try:
                self._files = LiveFiles(self.path)
                verify(self.writer, self.identity, self.directory)
            except (sqlite3.Error, OSError) as error:
                self.abandon()
                raise store_error(error, self.directory, "use the store of tasks") from error
        if not self._files.is_shared:
            self._lost("the index of its log was removed or replaced")
        self._notice = f"The index of the log of tasks was removed or replaced, opened the store again: {self.path}-shm"

    def _stat(self) -> os.stat_result:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return self._lost("its database was removed")
        if (found.st_dev, found.st_ino) != self._inode:
            self._lost("its database was replaced")
        if found.st_size == 0:
            self._lost("its database was emptied")
        return found

    def _lost(self, reason: str) -> os.stat_result:
        self.abandon()
        self._was_lost = True
        raise self._removal(reason)

    def _removal(self, reason: str) -> StoreError:
        return damaged(self.directory, reason) if os.path.isdir(self.directory) else removed(self.directory)

    def enter(self) -> Gate:
        """Open the store if need be, enter the gate, and return it. The caller leaves it."""
        while True:
            self.ready()
            gate = self.gate
            gate.__enter__()
            if self.pid and self.gate is gate:
                return gate
            gate.__exit__(None, None, None)  # another thread found the store lost in the meantime

    def write(self, action: str) -> Writing:
        """Return a context manager for a transaction. An exception rolls it back."""
        return Writing(self, action)

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement that reads, and return all its rows: an open one would keep the log from shrinking."""
        self.ready()
        if not self._files.has_index():
            self.look_again()
        with self.read_lock:
            self._stat()
            try:
                return self._connections.reader.execute(sql, parameters).fetchall()
            except sqlite3.Error as error:
                raise store_error(error, self.directory, "read tasks") from error

    def look_again(self) -> None:
        """Check the files as before a transaction."""
        gate = self.enter()
        try:
            self.check_before()
        finally:
            gate.__exit__(None, None, None)

    def connect_to_read(self) -> sqlite3.Connection:
        """Open one more connection that reads. Only a process that holds the gate opens the index of the log."""
        gate = self.enter()
        try:
            self.check_before()
            connection = connect_to_read(self.path)
            connection.execute("SELECT 1 FROM meta").fetchall()
        except sqlite3.Error as error:
            raise store_error(error, self.directory, "read tasks") from error
        finally:
            gate.__exit__(None, None, None)
        return connection

    def token(self) -> int:
        """Return the number of this transaction. No other one gets it, even if this one fails."""
        numbers = self.identity.numbers
        number = numbers[identity.TOKENS] = numbers[identity.TOKENS] + 1
        return number

    def numbers(self, count: int) -> int:
        """Return the first of `count` new sequence numbers. No other task gets them, even if the transaction fails."""
        numbers = self.identity.numbers
        last = numbers[identity.ALLOCATED]
        numbers[identity.ALLOCATED] = last + count
        return last + 1

    def has_waiters(self) -> bool:
        """Return True if some process may wait for the end of a task."""
        return bool(self.identity.numbers[identity.WAITERS])

    def log_size(self) -> int:
        """Return the bytes of the write-ahead log."""
        return log_size(self.path)

    def shrink_log(self) -> bool:
        """Write the log into the database and empty it. Return False if a reader of another program prevents it."""
        gate = self.enter()
        try:
            self.check_before()
            self.writer.execute("PRAGMA busy_timeout = 0").fetchall()
            try:
                busy = self.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]
            finally:
                self.writer.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}").fetchall()
            self.check_after()
        except sqlite3.Error as error:
            raise store_error(error, self.directory, "shrink the log of the store") from error
        finally:
            gate.__exit__(None, None, None)
        return not busy

    def vacuum(self, pages: int) -> None:
        """Give free pages back to the file system."""
        gate = self.enter()
        try:
            self.check_before()
            # `execute` frees one page only, because it stops at the first step of the statement.
            self.writer.executescript(f"PRAGMA incremental_vacuum({pages})")
            self.check_after()
        except sqlite3.Error as error:
            raise store_error(error, self.directory, "shrink the store") from error
        finally:
            gate.__exit__(None, None, None)

    def close(self) -> None:
        """Close everything. The log stays, see `Connections`, but not a long one."""
        if self.pid != os.getpid():
            return
        if self.log_size() > MAX_LOG:
            with contextlib.suppress(StoreError):
                self.shrink_log()
        with self.gate, self.read_lock:
            if self.pid:
                self._connections.close()
                self.pid = 0
                self.owners.release()
                self.kinds.clear()
        self.gate.close()

    def abandon(self) -> None:
        """Stop using the connections, because the files are not ours any longer."""
        self._connections.abandon(self._inode)
        self.pid = 0
        self.owners.release()

    def forget(self) -> None:
        """Close what this process has inherited through a fork. A transaction that the fork interrupted stays as it is.

        Do nothing in the process that opened the files.
        """
        if self.pid in {0, os.getpid()}:
            return
        self.reset_locks()
        if self.gate.depth:
            self.abandon()
        else:
            self._connections.close()
            self.pid = 0
        self.gate.forget()
        self.kinds.clear()

    def reset_locks(self) -> None:
        """Make the locks of threads anew, in a child that does not have the threads which held them."""
        self.read_lock, self.opening = threading.RLock(), threading.RLock()
