"""The text of `faulthandler` as values, from each version of Python that writes it."""

import faulthandler
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.thread_stacks import Frame, ThreadStack, parse_stack

TEXT = """\
Stack (most recent call first):
  Garbage-collecting
  File "/shop/gr\\xfcn\\u2026\\U0001f600.py", line 10 in work
  File ???, line ??? in ???
  File "a"b, line 1 in c.py", line 1 in <module>
  ...
"""
FRAMES = Frame('a"b, line 1 in c.py', 1, "<module>"), Frame("", 0, "???"), Frame("/shop/grün…😀.py", 10, "work")
TEXTS = {
    "frames": (TEXT, FRAMES, ("Garbage-collecting", "...")),
    "no frame": ("Stack (most recent call first):\n  <no Python frame>\n", (), ("<no Python frame>",)),
    "a head of another version": (
        'Thread 0x01 [a] (most recent call first):\n  File "t.py", line 3 in f\n',
        (Frame("t.py", 3, "f"),),
        (),
    ),
    "a comma, as Python's own tracebacks have it": ('  File "t.py", line 3, in f\n', (Frame("t.py", 3, "f"),), ()),
    "cut off": ('  File "t.py", line 3 in f\n  File "t.', (Frame("t.py", 3, "f"),), ('File "t.',)),
    "nothing": ("", (), ()),
}


@pytest.mark.parametrize(("text", "frames", "remarks"), TEXTS.values(), ids=TEXTS)
def test_the_text_of_a_thread(text, frames, remarks):
    """The innermost frame is the last one."""
    assert parse_stack("7", "main", text) == ThreadStack("7", "main", frames, remarks)


def outer(depth):
    """Write the stack of this thread, so many calls deep."""
    if depth:
        return outer(depth - 1)
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=False)
        file.seek(0)
        return file.read()


def test_the_text_of_this_python():
    """Whatever it writes today."""
    frames = parse_stack("7", "main", outer(2)).frames
    assert [(frame.file, frame.function) for frame in frames[-4:]] == [
        (__file__, "test_the_text_of_this_python"),
        *[(__file__, "outer")] * 3,
    ]
    assert frames[-2].line < frames[-1].line


@given(st.lists(st.sampled_from([*TEXT.splitlines(), "  File", "x", ""]) | st.text()))
def test_no_text_is_an_error(lines):
    """A text that is cut off, or of another version, yields what can be read."""
    stack = parse_stack("7", "", "\n".join(lines))
    assert len(stack.frames) + len(stack.remarks) <= len("\n".join(lines).splitlines())
