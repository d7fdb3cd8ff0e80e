"""The stacks of the threads of a process, and the text from which they are read.

The text is the one that `faulthandler` of CPython writes. It differs a little between versions: 3.14 adds the names of
threads. A line that is not known becomes a remark of its thread, so no version makes the rest unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_THREAD = re.compile(r"^(Current thread|Thread) 0x([0-9a-f]+)(?: \[(.*)\])?[^:]*:$")
_FRAME = re.compile(r'^  File (?:"(.*)"|\?\?\?), line (\d+|\?\?\?),? in (.*)$')
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class Frame:
    """A call that has not returned."""

    file: str
    """Path of the file as Python knows it. Empty if it cannot be told."""
    line: int
    """Number of the line, 0 if it cannot be told."""
    function: str


@dataclass(frozen=True, slots=True)
class ThreadStack:
    """A thread: its calls that have not returned, innermost last."""

    id: str
    """Identifier that `threading.get_ident()` returns in the thread, as `0x7f50`."""
    name: str
    """Name of the thread. Empty before Python 3.14, which tells none."""
    frames: tuple[Frame, ...]
    remarks: tuple[str, ...] = ()
    """Lines that say something else, such as that the garbage collector runs, or that outer frames are left out."""


def parse_stacks(text: str) -> tuple[ThreadStack, ...]:
    """Return the threads of a text by `faulthandler`. The one that was started first is usually the first."""
    return tuple(_threads(text))[::-1]


def _threads(text: str) -> Iterator[ThreadStack]:
    head: tuple[str, str] | None = None
    frames: list[Frame] = []
    remarks: list[str] = []
    for line in (*text.splitlines(), "Thread 0x0:"):
        if (thread := _THREAD.match(line)) is not None:
            if head is not None:
                yield ThreadStack(*head, tuple(frames[::-1]), tuple(remarks))
            head, frames, remarks = (f"0x{thread[2].lstrip('0')}", _unescaped(thread[3] or "")), [], []
        elif (frame := _FRAME.match(line)) is not None:
            number = int(frame[2]) if frame[2].isdecimal() else 0
            frames.append(Frame(_unescaped(frame[1] or ""), number, _unescaped(frame[3])))
        elif line.strip():
            remarks.append(line.strip())


def _unescaped(text: str) -> str:
    """Return a text with its characters outside of ASCII, which are written as `\\xe4` or `\\u2026`."""
    return _ESCAPE.sub(lambda found: chr(int(found[1] or found[2] or found[3], 16)), text)
