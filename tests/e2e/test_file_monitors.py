"""File monitors on a running server: its loop waits until a file is quiet."""

from __future__ import annotations

import time

import pytest

from heliograph.testing.harness.harness import eventually

SETTLE = 0.5
STEPS = 5
ATTEMPTS = 10

APP = f"""
from heliograph import register_file_monitor

for number in range({ATTEMPTS}):
    register_file_monitor(f"prices{{number}}.csv", settle={SETTLE}, name=f"prices{{number}}")(lambda: None)
register_file_monitor("other.csv", settle=0, missing_ok=True, name="other")(lambda: None)
"""
"""Several files, so that an attempt that took too long does not disturb the next one."""


def append(path):
    with path.open("a") as file:
        file.write("new\n")


def rotate(path):
    path.rename(path.with_suffix(".1"))
    append(path)


def replace(path):
    path.with_name("spare").write_text("new")
    path.with_name("spare").rename(path)


@pytest.mark.quick
@pytest.mark.parametrize("change", [append, rotate, replace], ids=lambda way: way.__name__)
def test_several_steps_in_a_row_are_one_run(server, change):
    """Whatever the server reads in between. A monitor with `settle=0` shows that it has read the last step."""
    paths = [server.directory / f"prices{number}.csv" for number in range(ATTEMPTS)]
    for path in paths:
        path.touch()
    server.start(APP)

    def fired(name):
        return next(row["fired"] for row in server.state()["triggers"] if row["name"] == name)

    for path in paths:
        began = time.monotonic()
        for _ in range(STEPS):
            change(path)
        if time.monotonic() - began < SETTLE:  # else this process did not get the processor
            break
    else:
        raise AssertionError(f"This process never made {STEPS} changes within {SETTLE} s.")
    eventually("a run", lambda: fired(path.stem))
    append(server.directory / "other.csv")
    eventually("a run of the monitor that does not wait", lambda: fired("other"))
    assert fired(path.stem) == 1
    assert server.end() == 0
