"""`heliograph.runtime.spooler` by uwsgiconf's names, on the inline engine."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from heliograph import engines, get_result, uwsgi
from heliograph._core.tasks.values import TaskStatus
from heliograph.engines.detached import DetachedEngine
from heliograph.exceptions import InvalidTask, NoEngine, TargetError, TaskArgumentError
from heliograph.models import Topology
from heliograph.runtime import spooler
from heliograph.runtime.spooler import ResultProcessed, ResultRescheduled, ResultSkipped, Spooler, SpoolerTask
from heliograph.tasks.registry import TASKS
from heliograph.testing import inline_engine

TASKS.definitions.pop(spooler.MESSAGES, None)  # the import has added it, and sending does so again

CALLS: list[object] = []


@pytest.fixture(autouse=True)
def engine(heliograph_engine, monkeypatch):
    """The inline engine, with one spooler."""
    CALLS.clear()
    monkeypatch.setattr(spooler, "_period", spooler.DEFAULT_PERIOD)
    yield heliograph_engine
    for kind in list(spooler.spooler_task_types):
        del spooler.spooler_task_types[kind]


def resize(path: str, width: int = 100) -> None:
    """A function of an application."""
    CALLS.append((path, width, str(engines.current().identity)))


def results(*values):
    """A function that returns these values, one a call."""
    left = list(values)

    def function() -> object:
        CALLS.append("call")
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return function


def status(task_id):
    return get_result(task_id).status


def test_a_call_runs_in_the_spooler():
    task_id = Spooler.task()(resize)("cat.png", width=200)
    assert CALLS == [("cat.png", 200, "spooler1")]
    assert status(task_id) is TaskStatus.SUCCESSFUL


def test_a_spooler_object_decorates_too():
    found = Spooler.get_by_basename("spooler")
    assert found is not None
    found.task(postpone=timedelta(seconds=1))(resize)("cat.png")
    assert CALLS == []
    engines.current().clock.sleep(1)
    assert CALLS == [("cat.png", 100, "spooler1")]


def test_the_decorated_function_keeps_its_name():
    decorated = Spooler.task()(resize)
    assert (decorated.__name__, decorated.__wrapped__) == ("resize", resize)


def test_without_a_spooler_a_mule_runs_it():
    with inline_engine(Topology(workers=1, mules=1)):
        Spooler.task()(resize)("cat.png")
        assert Spooler.get_spoolers() == []
    assert CALLS == [("cat.png", 100, "mule1")]


@pytest.mark.parametrize(
    "value", [None, True, False, 0, 7, -1.0, -2, object(), ResultProcessed(1), ResultSkipped(), uwsgi.SPOOL_OK]
)
def test_what_is_returned_ends_the_task(value):
    """Also what uWSGI would run again and again, and what JSON cannot express."""
    task_id = Spooler.task()(results(value))()
    engines.current().clock.sleep(3600)
    assert (CALLS, status(task_id)) == (["call"], TaskStatus.SUCCESSFUL)


@pytest.mark.parametrize("value", [ResultRescheduled(), ResultRescheduled(exception=OSError()), ValueError("no")])
def test_rescheduled_and_failed_ones_run_again_after_the_period(value):
    task_id = Spooler.task()(results(value, value, None))()
    engines.current().clock.sleep(29)
    assert CALLS == ["call"]
    engines.current().clock.sleep(1)
    assert CALLS == ["call"] * 2
    engines.current().clock.sleep(30)
    assert (CALLS, status(task_id)) == (["call"] * 3, TaskStatus.SUCCESSFUL)


@pytest.mark.parametrize("value", [uwsgi.SPOOL_RETRY, -1, uwsgi.SPOOL_IGNORE])
def test_codes_of_uwsgi_that_keep_a_task_let_it_run_again(value):
    """The raw module has plain numbers, so -1 counts too."""
    task_id = Spooler.task()(results(value, value, uwsgi.SPOOL_OK))()
    for number, seconds in enumerate((0, 30, 30), start=1):
        engines.current().clock.sleep(seconds)
        assert ["call"] * number == CALLS
    engines.current().clock.sleep(3600)
    assert (CALLS, status(task_id)) == (["call"] * 3, TaskStatus.SUCCESSFUL)
    assert "returned SPOOL_" in get_result(task_id).errors[0].traceback


def test_the_codes_are_those_of_uwsgi():
    assert (uwsgi.SPOOL_OK, uwsgi.SPOOL_RETRY, uwsgi.SPOOL_IGNORE) == (-2, -1, 0)


def test_a_message_may_return_the_codes():
    results_of_process = [uwsgi.SPOOL_RETRY, uwsgi.SPOOL_OK]
    kind = type("Bill", (SpoolerTask,), {"type_id": "bill", "process": lambda _: results_of_process.pop(0)})
    task_id = Spooler.send_message_raw(**kind.build_message())
    assert status(task_id) is TaskStatus.READY
    engines.current().clock.sleep(30)
    assert (status(task_id), results_of_process) == (TaskStatus.SUCCESSFUL, [])


def test_the_decorator_works_without_parentheses():
    assert isinstance(Spooler.task(resize)("cat.png"), str)
    assert CALLS == [("cat.png", 100, "spooler1")]


def test_the_period_can_be_set():
    decorated = Spooler.task()(results(ValueError("no"), None))
    assert Spooler.set_period(5) is True
    decorated()
    engines.current().clock.sleep(5)
    assert CALLS == ["call"] * 2
    with pytest.raises(InvalidTask, match="invalid seconds: -1"):
        Spooler.set_period(-1)


def test_a_larger_priority_runs_later():
    order = []
    due = timedelta(seconds=1)

    def note(name: str) -> None:
        order.append(name)

    for priority in (5, -5, None):
        task = Spooler.task(priority=priority, postpone=due)(note)
        task(str(priority))
    engines.current().clock.sleep(1)
    assert order == ["-5", "None", "5"]
    with pytest.raises(InvalidTask, match="invalid priority: 1000"):
        Spooler.task(priority=1000)


def test_postponed_to_a_time_with_a_zone():
    start = engines.current().clock.time()
    Spooler.task(postpone=datetime.fromtimestamp(start + 60, UTC))(resize)("a")
    engines.current().clock.sleep(59)
    assert CALLS == []
    engines.current().clock.sleep(1)
    assert len(CALLS) == 1
    with pytest.raises(InvalidTask, match="has no time zone"):
        Spooler.task(postpone=datetime(2026, 1, 1))(resize)("a")  # noqa: DTZ001


def test_arguments_that_json_does_not_have_are_refused_unless_a_pickle_is_allowed():
    def take(value) -> None:
        CALLS.append(value)

    with pytest.raises(TaskArgumentError, match=r"argument 'value'.* With allow_pickle=True"):
        Spooler.task()(take)({1, 2})
    assert CALLS == []
    Spooler.task(allow_pickle=True)(take)({1, 2})
    assert [{1, 2}] == CALLS
    with pytest.raises(TaskArgumentError, match="cannot pickle the arguments of"):
        Spooler.task(allow_pickle=True)(take)(lambda: None)


def test_arguments_have_the_types_of_the_annotations():
    def take(value: Decimal) -> None:
        CALLS.append(value)

    Spooler.task()(take)(Decimal("1.50"))
    assert [Decimal("1.50")] == CALLS


def test_a_parameter_context_is_an_argument_as_any_other():
    def take(context: str) -> None:
        CALLS.append(context)

    Spooler.task()(take)("mine")
    assert CALLS == ["mine"]


def test_coroutine_functions_run_to_their_end():
    async def take(value: int) -> None:
        await asyncio.sleep(0)
        CALLS.append(value)

    Spooler.task()(take)(3)
    Spooler.task(allow_pickle=True)(take)(4)
    assert CALLS == [3, 4]


class Order(SpoolerTask):
    """A type of message."""

    type_id = "order"

    def process(self):
        CALLS.append((self.message, self.payload))
        if self.payload == "again":
            return self.mark_rescheduled()
        return None


@pytest.fixture
def order():
    spooler.spooler_task_types["order"] = Order
    return Order


def test_a_message_goes_to_the_class_of_its_type(order):
    task_id = Spooler.send_message_raw(**order.build_message(payload={"a": [1, None]}))
    assert CALLS == [("ucfg_order", {"a": [1, None]})]
    assert status(task_id) is TaskStatus.SUCCESSFUL


def test_a_subclass_is_known_by_its_type():
    kind = type("Bill", (SpoolerTask,), {"type_id": "bill"})
    assert spooler.spooler_task_types["bill"] is kind


def test_a_message_without_a_type_ends():
    assert status(Spooler.send_message_raw("hello")) is TaskStatus.SUCCESSFUL


def test_a_message_without_its_class_waits_for_it():
    """It is not taken for processed. The class may come with the next version."""
    task_id = Spooler.send_message_raw("ucfg_order", payload=1)
    assert status(task_id) is TaskStatus.READY
    assert "no class for the message: 'ucfg_order'" in get_result(task_id).errors[0].traceback
    spooler.spooler_task_types["order"] = Order
    engines.current().clock.sleep(30)
    assert CALLS == [("ucfg_order", 1)]


def test_a_rescheduled_message_runs_again(order):
    Spooler.send_message_raw(**order.build_message(payload="again"))
    engines.current().clock.sleep(30)
    assert len(CALLS) == 2


def test_a_payload_that_json_does_not_have_is_refused_unless_a_pickle_is_allowed(order):
    with pytest.raises(TaskArgumentError, match=r"argument 'payload'.* With allow_pickle=True"):
        Spooler.send_message_raw(**order.build_message(payload={1}))
    Spooler.send_message_raw(**order.build_message(payload={1}), allow_pickle=True)
    assert [("ucfg_order", {1})] == CALLS


def test_a_message_that_does_not_fit_is_an_error():
    with pytest.raises(TaskArgumentError, match="take 2000014 bytes, of 1048576 at most"):
        Spooler.send_message_raw("x" * 2_000_000)
    with pytest.raises(TaskArgumentError, match="invalid argument 'message'"):
        Spooler.send_message_raw(b"bytes")
    assert Spooler.get_tasks() == []


def test_a_spooler_that_the_server_does_not_have_is_refused():
    Spooler.send_message_raw("x", spooler="spooler")
    Spooler.send_message_raw("x", spooler=Spooler("spooler"))
    with pytest.raises(TargetError, match="the server has no such spooler"):
        Spooler.send_message_raw("x", spooler="/other")
    with pytest.raises(TargetError, match="the server has no such spooler"):
        Spooler("/other").task()
    assert Spooler.get_by_basename("other") is None


def test_tasks_and_their_facts():
    later = timedelta(minutes=1)
    first = Spooler.send_message_raw("ucfg_order", payload=[1], priority=4, postpone=later)
    second = Spooler.task(postpone=later)(resize)("a", width=3)
    assert Spooler.get_tasks() == [first, second]
    facts = Spooler.read_task_file(f"/some/where/{first}")
    due = int(engines.current().clock.time()) + 60
    assert (facts["msg"], facts["payload"], facts["priority"], facts["at"]) == ("ucfg_order", [1], 4, due)
    facts = Spooler.read_task_file(second)
    assert (facts["args"], facts["kwargs"], facts["status"]) == (["a"], {"width": 3}, "READY")
    assert json.dumps(facts)
    assert Spooler.read_task_file("1-00") == {}


def test_without_a_server_there_are_no_spoolers(monkeypatch, tmp_path):
    monkeypatch.setenv("HELIOGRAPH_SPOOLER", str(tmp_path / "spool"))
    with engines.using(DetachedEngine()):
        assert (Spooler.get_spoolers(), Spooler.get_pids()) == ([], [])
        task_id = Spooler.send_message_raw("hello")
        assert Spooler.get_tasks() == [task_id]
        engines.current().task_store().close()
    assert NoEngine
