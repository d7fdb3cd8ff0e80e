"""Run the Python blocks of a page in one namespace. `python session.py FD` reads blocks from stdin as lines of JSON.

Blocks run on the inline engine. Functions named `test_...` are called at once, each with an engine of its own. The
answer to a block is a line of JSON on the descriptor: an empty text, or the traceback.
"""

import asyncio
import inspect
import json
import os
import sys
import traceback
import types
import unittest
from pathlib import Path

from heliograph import engines
from heliograph.testing import inline_engine

MODULE = types.ModuleType("page")
"""The module of the blocks."""


def run(block):
    """Run a block and the tests that it defines."""
    before = dict(vars(MODULE))
    exec(compile("\n" * (block["line"]) + block["text"], block["page"], "exec"), vars(MODULE))
    engine = engines.current()
    for failed in getattr(engine, "take_failures", tuple)():
        raise RuntimeError(f"a handler failed: {failed}") from failed.failure
    for name, value in list(vars(MODULE).items()):
        if before.get(name) is value:
            continue
        if inspect.isfunction(value) and name.startswith("test_"):
            call(value)
        if inspect.isclass(value) and issubclass(value, unittest.TestCase):
            check(value)


def call(test):
    """Call a test function, with the fixture if it takes it."""
    with inline_engine() as engine:
        arguments = {"heliograph_engine": engine} if "heliograph_engine" in inspect.signature(test).parameters else {}
        result = test(**arguments)
        if inspect.iscoroutine(result):
            asyncio.run(result)


def check(case):
    """Run a class of tests."""
    result = unittest.TextTestRunner(stream=sys.stderr).run(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    assert result.testsRun > 0
    assert result.wasSuccessful(), result.failures + result.errors


def main():
    """Answer blocks until stdin ends."""
    sys.path.insert(0, str(Path.cwd()))
    sys.modules["page"] = MODULE
    with os.fdopen(int(sys.argv[1]), "w") as answers:
        for line in sys.stdin:
            try:
                run(json.loads(line))
                answer = ""
            except BaseException:
                answer = traceback.format_exc()
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
