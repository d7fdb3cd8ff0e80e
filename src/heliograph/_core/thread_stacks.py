"""The stacks of the threads of a process, and the text from which they are read.

The text is the one that `faulthandler` of CPython writes for a single thread. A line that is not known becomes a
remark, so no version of Python makes the rest unreadable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEAD = "(most recent call first):"
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
    """Identifier that the kernel and `threading.get_native_id()` have for the thread."""
    name: str
    """`main`, or the name that the kernel has for the thread. Empty if that is the one of the process."""
    frames: tuple[Frame, ...]
    remarks: tuple[str, ...] = ()
    """Lines that say something else, such as that the garbage collector runs, or that outer frames are left out."""


def parse_stack(id: str, name: str, text: str) -> ThreadStack:  # noqa: A002 - as the field
    """Return the stack of a thread from the text of `faulthandler`."""
    frames: list[Frame] = []
    remarks: list[str] = []
    for line in text.splitlines():
        if (frame := _FRAME.match(line)) is not None:
            number = int(frame[2]) if frame[2].isdecimal() else 0
            frames.append(Frame(_unescaped(frame[1] or ""), number, _unescaped(frame[3])))
        elif line.strip() and not line.endswith(_HEAD):
            remarks.append(line.strip())
    return ThreadStack(id, name, tuple(frames[::-1]), tuple(remarks))


def _unescaped(text: str) -> str:
    """Return a text with its characters outside of ASCII, which are written as `\\xe4` or `\\u2026`."""
    return _ESCAPE.sub(lambda found: chr(int(found[1] or found[2] or found[3], 16)), text)
