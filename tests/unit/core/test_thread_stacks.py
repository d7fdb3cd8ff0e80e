"""The text of `faulthandler` as values, from each version of Python that writes it."""

import faulthandler
import tempfile
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.thread_stacks import Frame, ThreadStack, parse_stacks

PYTHON_3_11 = """\
Thread 0x00007f91c051f6c0 (most recent call first):
  File "/lib/threading.py", line 982 in run
  File "/lib/threading.py", line 1002 in _bootstrap

Current thread 0x00007f91c147ab80 (most recent call first):
  Garbage-collecting
  File "/shop/gr\\xfcn\\u2026\\U0001f600.py", line 10 in work
  File ???, line ??? in ???
  File "a"b, line 1 in c.py", line 1 in <module>
"""
PYTHON_3_14 = """\
Thread 0x00007f91c051f6c0 [pool-1] (most recent call first):
  File "/lib/threading.py", line 982 in run

Current thread 0x00007f91c147ab80 [python] (most recent call first):
  File "/shop/tasks.py", line 10 in work
  ...
"""
TEXTS = {
    "3.11": (
        PYTHON_3_11,
        (
            ThreadStack(
                "0x7f91c147ab80",
                "",
                (
                    Frame('a"b, line 1 in c.py', 1, "<module>"),
                    Frame("", 0, "???"),
                    Frame("/shop/grün…😀.py", 10, "work"),
                ),
                ("Garbage-collecting",),
            ),
            ThreadStack(
                "0x7f91c051f6c0",
                "",
                (Frame("/lib/threading.py", 1002, "_bootstrap"), Frame("/lib/threading.py", 982, "run")),
            ),
        ),
    ),
    "3.14": (
        PYTHON_3_14,
        (
            ThreadStack("0x7f91c147ab80", "python", (Frame("/shop/tasks.py", 10, "work"),), ("...",)),
            ThreadStack("0x7f91c051f6c0", "pool-1", (Frame("/lib/threading.py", 982, "run"),)),
        ),
    ),
    "no frame": (
        "Thread 0x0000000000000001 (most recent call first):\n  <no Python frame>\n",
        (ThreadStack("0x1", "", (), ("<no Python frame>",)),),
    ),
    "a comma, as Python's own tracebacks have it": (
        'Thread 0x01 (most recent call first):\n  File "t.py", line 3, in f\n',
        (ThreadStack("0x1", "", (Frame("t.py", 3, "f"),)),),
    ),
    "nothing": ("", ()),
}


@pytest.mark.parametrize(("text", "threads"), TEXTS.values(), ids=TEXTS)
def test_each_version_of_the_text(text, threads):
    """The innermost frame is the last one, and the newest thread too."""
    assert parse_stacks(text) == threads


def test_the_text_of_this_python():
    """Whatever it writes today: this function, and a thread that waits."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait, args=(20,))
    thread.start()
    try:
        with tempfile.TemporaryFile("w+") as file:
            faulthandler.dump_traceback(file, all_threads=True)
            file.seek(0)
            threads = parse_stacks(file.read())
    finally:
        done.set()
        thread.join()
    main, other = threads[0], threads[-1]
    assert (main.frames[-1].file, main.frames[-1].function) == (__file__, "test_the_text_of_this_python")
    assert main.id == f"{threading.main_thread().ident:#x}"
    assert "wait" in [frame.function for frame in other.frames]
    assert other.frames[0].function == "_bootstrap"


@given(st.lists(st.sampled_from([*PYTHON_3_11.splitlines(), *PYTHON_3_14.splitlines(), "  File", "x", ""]) | st.text()))
def test_no_text_is_an_error(lines):
    """A text that is cut off, or of another version, yields what can be read."""
    for thread in parse_stacks("\n".join(lines)):
        assert thread.id.startswith("0x")
