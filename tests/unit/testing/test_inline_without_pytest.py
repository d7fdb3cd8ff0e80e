"""The inline engine without the fixture: `unittest`, coroutine tests, and threads that end before the engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs/how-to/test.md"

SHOP = """
import asyncio
from heliograph import Signal, task

changed = Signal(1)
seen = []

@changed.register_handler("mule")
async def note():
    await asyncio.sleep(0)
    seen.append("changed")

@task
async def send_mail(to: str, subject: str) -> str:
    await asyncio.sleep(0)
    return f"{subject} to {to}"
"""

UNITTEST = """
import asyncio, unittest
from heliograph import TaskStatus
from heliograph.testing import inline_engine
import shop

class TestMail(unittest.TestCase):
    def setUp(self):
        self.engine = self.enterContext(inline_engine())

    def test_mail(self):
        result = shop.send_mail.enqueue("a@example.org", "Hello")
        self.assertEqual(result.wait().return_value, "Hello to a@example.org")
        self.assertEqual(self.engine.enqueued[0].args, ["a@example.org", "Hello"])

    def test_each_test_has_a_new_engine(self):
        self.assertEqual(self.engine.enqueued, ())
        with self.engine.paused():
            result = shop.send_mail.enqueue("a@example.org", "Hello")
            self.assertIs(result.status, TaskStatus.READY)
        self.assertIs(result.wait().status, TaskStatus.SUCCESSFUL)

class TestMailInACoroutine(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.engine = self.enterContext(inline_engine())

    async def test_mail(self):
        result = await shop.send_mail.aenqueue("a@example.org", "Hello")
        await result.arefresh()
        self.assertEqual(result.return_value, "Hello to a@example.org")
        self.assertEqual(self.engine.enqueued[0].args, ["a@example.org", "Hello"])

    async def test_several_at_once(self):
        results = await asyncio.gather(*(shop.send_mail.aenqueue("a@example.org", str(n)) for n in range(20)))
        values = [(await result).return_value for result in results]
        self.assertEqual(values, [f"{number} to a@example.org" for number in range(20)])
        self.assertEqual(len(self.engine.enqueued), 20)

    async def test_signals_of_a_thread(self):
        await asyncio.to_thread(shop.changed.send)
        self.assertEqual([run.num for run in self.engine.handled], [1])
"""

OPTIONS = ("-W", "error", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")

COROUTINES = """
import asyncio
import pytest
import shop

@pytest.mark.asyncio
async def test_mail(heliograph_engine):
    result = await shop.send_mail.aenqueue("a@example.org", "Hello")
    assert (await result).return_value == "Hello to a@example.org"
    assert heliograph_engine.enqueued[0].args == ["a@example.org", "Hello"]

@pytest.mark.asyncio
async def test_signals_of_a_thread(heliograph_engine):
    await asyncio.to_thread(shop.changed.send)
    assert [run.num for run in heliograph_engine.handled] == [1]
"""


def run(directory, *command):
    """Run a program in which every warning is an error, also one of an object that nobody closed."""
    options = (sys.executable, "-W", "error", "-X", "dev", *command)
    done = subprocess.run(options, cwd=directory, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_unittest(tmp_path):
    """Plain tests and coroutine tests. Threads that have run `async def` handlers leave no event loop open."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_mail.py").write_text(UNITTEST)
    assert "Ran 5 tests" in run(tmp_path, "-m", "unittest", "test_mail")


@pytest.mark.needs("pytest_asyncio")
def test_the_code_of_the_page_about_tests(tmp_path):
    """Its tests of `unittest`, and its coroutine test."""
    (tmp_path / "shop").mkdir()
    send_mail = "from heliograph import task\n@task\ndef send_mail(to, subject): return 'sent'\n"
    (tmp_path / "shop/tasks.py").write_text(send_mail)
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (plain,) = (text for text in snippets if "import unittest" in text)
    (coroutine,) = (text for text in snippets if "pytest.mark.asyncio" in text)
    (tmp_path / "test_mail.py").write_text(f"import pytest\n{plain}\n\n{coroutine}")
    assert "3 passed" in run(tmp_path, "-m", "pytest", "-q", *OPTIONS, "test_mail.py")


@pytest.mark.needs("pytest_asyncio")
def test_coroutine_tests_of_pytest(tmp_path):
    """The fixture works in `async def` tests, without a warning about an event loop."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_mail.py").write_text(COROUTINES)
    assert "2 passed" in run(tmp_path, "-m", "pytest", "-q", *OPTIONS, "test_mail.py")
