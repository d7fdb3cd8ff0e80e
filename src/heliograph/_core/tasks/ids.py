"""Ids of tasks: a sequence number for the store, and a code that only this store can make.

Sequence numbers are never used twice, so an old id never answers with another task. The code keeps people from guessing
ids, and makes an id of another store an unknown one. The store does not have to keep it.
"""

from __future__ import annotations

from _blake2 import blake2s  # `hashlib` has the same one, and loads OpenSSL for its other functions

KEY_BYTES = 16
_CODE_BYTES = 8


class TaskIds:
    """Makes and reads the ids of one store. `key` is a secret of the store."""

    def __init__(self, key: bytes) -> None:
        self._empty = blake2s(key=key, digest_size=_CODE_BYTES)

    def make(self, number: int) -> str:
        """Return the id of the task with this sequence number: `1f-09ab...`."""
        code = self._empty.copy()
        code.update(number.to_bytes(8, "little"))
        return f"{number:x}-{code.hexdigest()}"

    def read(self, task_id: str) -> int | None:
        """Return the sequence number of an id. None: this store has not made the id."""
        head, dash, _ = task_id.partition("-")
        try:
            number = int(head, 16)
            return number if dash and task_id == self.make(number) else None
        except (ValueError, OverflowError):
            return None
