"""A store of tasks that needs no database: an empty file for each task, renamed when a process claims it.

The tests of wake-ups put this text before their application. `record` is a function of the application.
"""

import itertools
import os
import threading  # noqa: F401 - some applications use it
from pathlib import Path

from heliograph import engines

STORE = Path("store")
STORE.mkdir(exist_ok=True)
DONE = os.open("finished", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
NAMES = itertools.count()


def store(kind):
    name = f"{kind}-{os.getpid()}-{next(NAMES)}"
    (STORE / f"{name}.new").touch()
    (STORE / f"{name}.new").rename(STORE / name)


def turn():
    for name in sorted(path.name for path in STORE.iterdir()):
        if name.endswith((".new", ".claimed")):
            continue
        try:
            (STORE / name).rename(STORE / f"{name}.claimed")
        except FileNotFoundError:
            continue
        os.write(DONE, f"{name}\n".encode())
    record("turn")  # noqa: F821 - see above


engine = engines.current()
