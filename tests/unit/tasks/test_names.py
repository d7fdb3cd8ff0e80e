"""Names of tasks: other processes find a function by its name, or the task is refused."""

import functools
import importlib
import pickle
import subprocess
import sys

import pytest

from heliograph import task
from heliograph.exceptions import InvalidTask
from heliograph.runtime.tasks import get_tasks

MODULE = """
from heliograph import task

@task
def plain(): ...

class Group:
    @staticmethod
    @task
    def inner(): ...

    @task
    @staticmethod
    def outer(): ...

def _hidden(): ...

public = task(_hidden)
"""


@pytest.fixture
def shop(engine, tmp_path, monkeypatch):
    """A module with tasks."""
    (tmp_path / "shop_of_names.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("shop_of_names")
    del sys.modules["shop_of_names"]


def test_a_name_is_module_and_function(shop):
    """Also of a static method, and of a function under another name."""
    assert shop.plain.name == "shop_of_names:plain"
    assert shop.Group.inner.name == "shop_of_names:Group.inner"
    assert shop.Group.outer.name == "shop_of_names:Group.outer"
    assert shop.public.name == "shop_of_names:_hidden"


def test_a_module_may_be_loaded_again(shop, engine):
    """The new functions replace the older ones."""
    importlib.reload(shop)
    assert shop.plain in get_tasks()
    shop.plain.enqueue()
    assert [found.name for found in engine.enqueued] == ["shop_of_names:plain"]


def test_a_task_can_be_pickled(shop):
    """As the function of a module."""
    assert pickle.loads(pickle.dumps(shop.plain)) is shop.plain


@pytest.mark.parametrize("kind", ["a lambda", "a nested function"])
def test_a_function_without_a_place_is_refused(engine, kind):
    """Other processes could not find it. The error says what to do."""

    def nested():
        """A nested function."""

    with pytest.raises(InvalidTask, match=rf"is {kind}.*name="):
        task(nested if "nested" in kind else lambda: None)
    assert task(name="shop:nested")(nested).name == "shop:nested"


def test_a_method_is_refused(engine):
    """Nobody could pass its `self`."""

    class Shop:
        def send(self):
            """A method."""

    Shop.send.__qualname__ = "Shop.send"
    with pytest.raises(InvalidTask, match="is a method"):
        task(Shop.send)


@pytest.mark.parametrize("func", [None, 5, "text"])
def test_something_else_is_refused(engine, func):
    """The error shows it."""
    with pytest.raises(InvalidTask, match=repr(func)):
        task(name="x")(func)


def test_a_generator_function_is_refused(engine):
    """A call would run none of its code."""

    def items():
        yield 1

    with pytest.raises(InvalidTask, match="generator function"):
        task(name="x")(items)


def test_an_object_without_a_name_is_refused(engine):
    """With a name it is accepted."""
    add = functools.partial(int, "5")
    with pytest.raises(InvalidTask, match="has no name"):
        task(add)


def test_two_functions_cannot_have_one_name(engine):
    """The error names the file and the line of the first one."""
    task(name="shop:send")(lambda: 1)
    with pytest.raises(InvalidTask, match=r"duplicate task name: 'shop:send' belongs to .*test_names.py:\d+"):
        task(name="shop:send")(lambda: 2)
    assert [found.name for found in get_tasks() if found.name.startswith("shop:")] == ["shop:send"]


SCRIPT = """
from heliograph import engines, task
from heliograph.testing import InlineEngine

with engines.using(InlineEngine()):
    @task
    def add(a, b):
        return a + b

    print(add(1, 2))
    print(add.name, add.enqueue(1, 2).wait().return_value)
"""


def run_script(tmp_path, *arguments):
    """Run the script with these arguments of Python."""
    (tmp_path / "shop.py").write_text(SCRIPT)
    return subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)


def test_a_script_cannot_enqueue_its_own_functions(tmp_path):
    """The server would not find `__main__:add`. The plain call works."""
    done = run_script(tmp_path, "shop.py")
    assert done.stdout == "3\n"
    assert "InvalidTask: cannot enqueue __main__:add" in done.stderr


def test_a_module_that_is_run_has_its_real_name(tmp_path):
    """With `python -m`."""
    done = run_script(tmp_path, "-m", "shop")
    assert done.stdout == "3\nshop:add 3\n", done.stderr
