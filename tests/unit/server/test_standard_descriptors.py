"""Descriptors 0 to 2 stay occupied, in a program of its own."""

import subprocess
import sys

PROGRAM = """
import os
for fd in ({closed}):
    os.close(fd)
from heliograph.server.standard_descriptors import reserve_standard_descriptors
before = len(os.listdir("/proc/self/fd"))
reserve_standard_descriptors()
kinds = [os.readlink(f"/proc/self/fd/{{fd}}") for fd in range(3)]
added = len(os.listdir("/proc/self/fd")) - before
with open({answer!r}, "w") as file:
    file.write(f"{{kinds.count('/dev/null')}} {{added}} {{file.fileno() > 2}}")
"""


def run(tmp_path, closed):
    answer = str(tmp_path / "answer")
    program = PROGRAM.format(closed=closed, answer=answer)
    subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, input=b"")
    return (tmp_path / "answer").read_text()


def test_closed_descriptors_are_opened(tmp_path):
    """All three, or one in the middle: files that are opened later get higher numbers."""
    assert run(tmp_path, "0, 1, 2") == "3 3 True"
    assert run(tmp_path, "1,") == "1 1 True"


def test_open_descriptors_are_left_alone(tmp_path):
    """Nothing is opened."""
    assert run(tmp_path, "") == "0 0 True"
