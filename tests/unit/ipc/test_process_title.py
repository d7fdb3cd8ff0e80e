"""The title of a process."""

import subprocess
import sys

PROGRAM = """
from pathlib import Path
from heliograph.ipc.process_title import set_process_title
set_process_title("heliograph: worker1 of shop")
print(Path("/proc/self/cmdline").read_text().strip(chr(0)), Path("/proc/self/comm").read_text().strip(), sep="\\n")
"""


def test_the_title_has_spaces_and_the_short_name_has_none():
    """A space in the short name makes Python read the wrong field of /proc/self/stat."""
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["heliograph: worker1 of shop", "heliograph"]
