"""The code in the pages about tasks runs, on the inline engine, and does what the pages say."""

import re
import textwrap
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from heliograph import TaskContext, TaskStatus
from heliograph.exceptions import InvalidTask, TaskArgumentError
from heliograph.ipc import store_directory
from heliograph.runtime.tasks import Progress
from heliograph.store.function_notes import FUNCTIONS

DOCS = Path(__file__).parents[2] / "docs"
SNIPPET = re.compile(r"^ *```python\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def run(page, name):
    """Run all snippets of a page, one after another, in a module of this name. Return its names."""
    names = {"__name__": name}
    for snippet in SNIPPET.findall((DOCS / page).read_text()):
        exec(compile(textwrap.dedent(snippet), page, "exec", dont_inherit=True), names)
    return names


@pytest.fixture
def tasks_page(heliograph_engine):
    return run("how-to/tasks.md", "shop.tasks")


@pytest.fixture
def idempotence_page(heliograph_engine):
    return run("how-to/idempotence.md", "shop.tasks")


def test_the_snippets_about_tasks_run(tasks_page, heliograph_engine):
    """They enqueue what they say, and everything that is due has succeeded."""
    enqueued = heliograph_engine.enqueued
    assert [row.name.partition(":")[2] for row in enqueued] == [
        *["send_mail"] * 7,
        "call_api",
        "import_orders",
        "send_mail",
    ]
    assert {str(row.status) for row in enqueued if row.run_after is None} == {"SUCCESSFUL"}
    assert [task.args for task in enqueued[:2]] == [["a@example.org"], ["b@example.org", "Hello"]]


@pytest.mark.parametrize("test", ["test_mail", "test_a_reminder_is_due_tomorrow"])
def test_the_tests_of_the_page_pass(heliograph_engine, test):
    """On an engine of its own, as pytest would run it."""
    snippets = SNIPPET.findall((DOCS / "how-to/tasks.md").read_text())
    names = {"__name__": "shop.tasks"}
    exec(snippets[0], names)
    exec("from datetime import timedelta\nfrom heliograph import TaskStatus\n" + snippets[-1], names)
    names[test](heliograph_engine)


def test_the_progress_is_the_one_of_the_page(tasks_page):
    tasks_page["imported"].refresh()
    assert tasks_page["imported"].progress == Progress(done=3, total=3, text="order 3")
    assert "`Progress(done=3, total=3, text='order 3')`" in (DOCS / "how-to/tasks.md").read_text()


def test_arguments_have_the_types_of_the_annotations(tasks_page):
    """A dataclass with a Decimal, a UUID and a datetime are accepted."""
    item = tasks_page["Item"]("A1", Decimal("9.99"))
    order, due = UUID(int=7), datetime(2030, 1, 1, tzinfo=UTC)
    assert tasks_page["bill"].enqueue(order, [item, item], due).wait().return_value == 2
    with pytest.raises(TaskArgumentError, match="items"):
        tasks_page["bill"].enqueue(order, ["A1"], due)


def test_a_retry_counts_as_one_of_the_retries(tasks_page, heliograph_engine):
    """`raise Retry(after=120)`: six attempts in all, two minutes apart."""

    def busy(cents):
        raise tasks_page["ServiceBusy"]

    tasks_page["post"] = busy
    began = heliograph_engine.clock.time()
    result = tasks_page["charge"].enqueue(500).wait()
    assert (result.status, result.attempts, len(result.errors)) == (TaskStatus.FAILED, 6, 6)
    assert heliograph_engine.clock.time() - began == pytest.approx(600)


def test_a_cron_rule_of_the_page_enqueues_once_a_day(tasks_page, heliograph_engine):
    """The results of earlier days are removed one by one."""
    ticks = set()
    for _ in range(3):
        heliograph_engine.clock.sleep(86400)
        ticks |= {row.id for row in heliograph_engine.enqueued if row.name.endswith(":close_day")}
    assert len(ticks) == 3


def test_functions_that_the_page_calls_invalid_are_rejected(heliograph_engine):
    """Lambdas, methods, generators, and functions of a script when they are enqueued."""
    from heliograph import task

    class Shop:
        def method(self): ...

    def generator():
        yield

    for func in (lambda: None, Shop.method, generator):
        with pytest.raises(InvalidTask):
            task(func)
    names = {"__name__": "__main__"}
    exec("from heliograph import task\n@task\ndef script(): ...", names)
    with pytest.raises(InvalidTask, match="script"):
        names["script"].enqueue()


def test_the_page_explains_every_status():
    table = (DOCS / "how-to/tasks.md").read_text()
    assert [status for status in TaskStatus if f"\n| {status} |" not in table] == []


def test_the_page_about_the_store_lists_its_files():
    page = (DOCS / "explanation/how-tasks-work.md").read_text()
    constants = vars(store_directory).items()
    names = {value for name, value in constants if name.isupper() and name[0] != "_"} | {FUNCTIONS}
    assert names == {"tasks.db", "owners", "identity", "server", "waiters", "doorbell", "functions"}
    assert [name for name in names if not re.search(rf"^\| `{re.escape(name)}`", page, re.MULTILINE)] == []


def test_a_handler_of_the_page_about_idempotence_may_run_twice(idempotence_page):
    for _ in range(2):
        idempotence_page["confirm"].send()
    assert idempotence_page["mails"] == ["Ada", "Grace"]


def test_a_task_of_the_page_about_idempotence_may_run_twice(idempotence_page):
    """Two attempts of one task credit once. Another task credits again."""
    idempotence_page["test_a_second_attempt_credits_nothing"]()
    idempotence_page["credit"](TaskContext("shop.tasks:credit", "another id"), "Ada", 500)
    [(cents,)] = idempotence_page["database"].execute("SELECT cents FROM balance WHERE customer = 'Ada'")
    assert cents == 1000


def test_the_tables_of_other_queues_have_five_columns():
    """A row with a missing cell would put names under the wrong library."""
    rows = re.findall(r"^\|.*\|$", (DOCS / "how-to/from-other-queues.md").read_text(), re.MULTILINE)
    assert len(rows) > 30
    assert {row.count("|") for row in rows} == {6}
