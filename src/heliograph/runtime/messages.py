"""Messages to mules and farms: rows of the store that `get_message()` takes.

A reader looks into the store, then waits at its mailbox in the store's directory. A sender rings at all mailboxes of
its target after it has stored the message. So nothing is polled, and no message is lost while nobody reads. Without a
directory, as in tests, sender and reader are in one process, and a condition replaces the mailboxes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

import msgspec

from heliograph import engines
from heliograph._core.tasks.targets import check_target
from heliograph._core.tasks.values import (
    MESSAGE,
    Claim,
    ClaimRequest,
    NewTask,
    Outcome,
    TaskLimits,
    TaskStatus,
)
from heliograph.exceptions import SignalTypeError, TaskArgumentError
from heliograph.interfaces.store import TaskOwner, TaskStore
from heliograph.ipc.mailboxes import Mailbox, ring_readers, wait_for_ring
from heliograph.models import MAX_WAIT, MICROSECONDS
from heliograph.tasks.hosting import known_topology, now, store
from heliograph.tasks.sizes import max_bytes

_TTL = 60 * MICROSECONDS
_KNOWN = {MESSAGE: TaskLimits()}
_DECODER = msgspec.json.Decoder(tuple[tuple[str], dict[str, str]])


def send(target: str, message: str | bytes) -> None:
    """Store a message to a target, and ring at its readers.

    Raises:
        TargetError: The server does not have the target.
        SignalTypeError: The message is neither text nor bytes.
        TaskArgumentError: The message is too large, or no text in UTF-8.
        NoEngine, ServerNotReady, StoreError: See `Task.enqueue`.
    """
    where = check_target(target, known_topology())
    data = msgspec.json.encode(([_text(message)], {}))
    if len(data) > max_bytes():
        raise TaskArgumentError(
            f"the message is too large: {len(data)} bytes as JSON, of {max_bytes()} at most. Store it elsewhere, and "
            "send its key.",
            "message",
        )
    current = store()
    current.enqueue([NewTask(MESSAGE, where, data, result_ttl=_TTL)], now())
    _ring(current.directory, where)


def receive(targets: Sequence[str], longest: int, timeout: float) -> str | None:
    """Take the next message to one of the targets. Wait for it, at most `timeout` seconds, without a limit if negative.

    Return None if there was none in time.

    Raises:
        TaskArgumentError: The message is longer than `longest` bytes. It stays in the store.
    """
    deadline = time.monotonic() + timeout if timeout >= 0 else None
    reader = _reader(tuple(targets))
    while True:
        found = reader.take(longest)
        if found is not None:
            return found
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return None
        reader.wait(None if left is None else min(left, MAX_WAIT))


class _Reader:
    """A thread that reads messages."""

    def __init__(self, current: TaskStore, targets: tuple[str, ...]) -> None:
        self.store = current
        self.targets = targets
        self.pid = os.getpid()
        self._owner: TaskOwner = current.own(now())
        directory = current.directory
        self._mailboxes = [] if directory is None else [Mailbox(directory, target) for target in targets]

    def take(self, longest: int) -> str | None:
        """Take a message from the store. Return None if there is none."""
        for target in self.targets:
            worker = f"{engines.current().identity} ({self.pid})"
            batch = self._owner.turn(ClaimRequest(target, now(), 1, _KNOWN, worker))
            for claim in batch.claims:
                found = self._take(claim, longest)
                if found is not None:
                    return found
        return None

    def _take(self, claim: Claim, longest: int) -> str | None:
        text = _DECODER.decode(claim.arguments)[0][0]
        if len(text.encode()) > longest:
            self._owner.turn(ClaimRequest("", now(), 0))  # gives the claim back
            raise TaskArgumentError(
                f"the message {claim.id} is too large: {len(text.encode())} bytes, of {longest} at most. Pass a larger "
                "buffer_size.",
                "buffer_size",
            )
        if not self._owner.begin(claim, now()):
            return None  # it was cancelled
        self._owner.finish(claim, Outcome(TaskStatus.SUCCESSFUL), now())
        return text

    def wait(self, timeout: float | None) -> None:
        """Wait until a sender rings, or the time is over."""
        if self.store.directory is None:
            with _ARRIVED:
                _ARRIVED.wait(timeout)
        else:
            wait_for_ring(self._mailboxes, timeout)

    def close(self) -> None:
        """Free the sockets."""
        for mailbox in self._mailboxes:
            mailbox.close()


_ARRIVED = threading.Condition()
_OWN = threading.local()


def _reader(targets: tuple[str, ...]) -> _Reader:
    current = store()
    found: _Reader | None = getattr(_OWN, "reader", None)
    if found is None or found.store is not current or found.targets != targets or found.pid != os.getpid():
        if found is not None and found.pid == os.getpid():
            found.close()
        found = _OWN.reader = _Reader(current, targets)
    return found


def _ring(directory: str | None, target: str) -> None:
    if directory is not None:
        ring_readers(directory, target)
        return
    with _ARRIVED:
        _ARRIVED.notify_all()


def _text(message: str | bytes) -> str:
    try:
        if isinstance(message, str):
            message.encode()
            return message
        if isinstance(message, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            return message.decode()
    except UnicodeError as error:
        raise TaskArgumentError(
            f"the message is no text in UTF-8: {message!r:.100} ({error}). Encode it, with base64 for example.",
            "message",
        ) from None
    raise SignalTypeError(f"invalid message: {message!r:.100}. Pass text or bytes.", message)
