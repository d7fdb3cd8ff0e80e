"""The backend of Django's tasks on the inline engine: options, arguments, results, signals and system checks."""

import enum
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from heliograph import register_cron, register_file_monitor, register_timer
from heliograph import task as heliograph_task
from heliograph._core.tasks.values import TaskStatus
from heliograph.exceptions import ProcessEnded, SignalTypeError, TaskCancelled, TaskExpired
from heliograph.runtime.triggers import get_triggers
from heliograph.tasks.registry import TASKS

django = pytest.importorskip("django")
if django.VERSION < (6, 0):
    pytest.importorskip("django_tasks")

PACKAGE = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
BACKEND = "heliograph.contrib.django.tasks.Backend"
APPS = ["heliograph.contrib.django", *([PACKAGE] if PACKAGE == "django_tasks" else [])]
"""The apps of the programs that run in other processes."""

CALLS = []


def add(a, b):
    return a + b


def keep(*args, **kwargs):
    CALLS.append((args, kwargs))


def fail():
    CALLS.append("fail")
    raise LookupError("nothing there")


def leave():
    raise SystemExit("gone")


def fail_once(context):
    CALLS.append((context.attempt, context.task_result.id, len(context.task_result.worker_ids)))
    if context.attempt == 1:
        raise LookupError


def unkeepable():
    CALLS.append("unkeepable")
    return lambda: None


async def double(context, number):
    return number * 2, context.attempt


pytestmark = pytest.mark.usefixtures("django_project")


@pytest.fixture
def api(heliograph_engine):
    """The names of Django's tasks, and the inline engine."""
    from heliograph.contrib.django import task_api, tasks

    CALLS.clear()
    module = __import__(PACKAGE, fromlist=["task"])
    return SimpleNamespace(
        task=module.task,
        backend=module.default_task_backend,
        Backend=tasks.Backend,
        engine=heliograph_engine,
        **{name: getattr(task_api, name) for name in task_api.__all__ if name != "Task"},
    )


@pytest.fixture
def use():
    """Return a function that sets OPTIONS and other settings of the backend for the test."""
    from django.test import override_settings

    changed = []

    def use(use_tz=True, **params):
        context = override_settings(TASKS={"default": {"BACKEND": BACKEND, **params}}, USE_TZ=use_tz)
        context.enable()
        changed.append(context)

    yield use
    for context in reversed(changed):
        context.disable()


@pytest.fixture
def sent(api):
    """Records Django's signals."""
    events = []

    def record(name):
        def receive(sender, task_result, **_kwargs):
            events.append((name, sender, task_result.status, sys.exc_info()[0]))

        return receive

    receivers = {name: record(name) for name in ("task_enqueued", "task_started", "task_finished")}
    for name, receiver in receivers.items():
        getattr(api, name).connect(receiver)
    yield events
    for name, receiver in receivers.items():
        getattr(api, name).disconnect(receiver)


def test_backend_supports_everything(api):
    """The four flags of Django's contract."""
    flags = ("supports_defer", "supports_async_task", "supports_get_result", "supports_priority")
    assert [getattr(api.backend, flag) for flag in flags] == [True] * 4


def test_result_is_equal_when_it_is_read_again(api, use):
    """The task with its options, too."""
    use(QUEUES=[])
    when = datetime(2030, 1, 1, 12, tzinfo=UTC)
    later = api.task(add, queue_name="letters").using(
        priority=7, run_after=when, retries=2, backoff=timedelta(minutes=1)
    )
    result = later.enqueue(1, b=2)
    again = api.backend.get_result(result.id)
    assert again == result
    assert again.task == later
    assert (again.task.priority, again.task.queue_name, again.task.run_after) == (7, "letters", when)
    assert (again.task.retries, again.task.backoff) == (2, 60.0)
    assert (result.status, result.attempts, result.started_at) == ("READY", 0, None)


def test_result_changes_only_with_refresh(api):
    result = api.task(add).enqueue(1, 2)
    assert result.status == "READY"
    result.refresh()
    assert (result.status, result.return_value, result.attempts) == ("SUCCESSFUL", 3, 1)


def test_task_begins_at_its_time(api):
    api.task(keep).using(run_after=datetime.now(UTC) + timedelta(days=36500)).enqueue()
    start = api.engine.clock.time()
    api.task(keep).using(run_after=datetime.fromtimestamp(start + 60, UTC)).enqueue(1)
    api.engine.clock.sleep(59)
    assert CALLS == []
    api.engine.clock.sleep(2)
    assert CALLS == [((1,), {})]


def test_naive_time_is_in_time_zone_of_the_settings(api, use):
    """Django accepts it if USE_TZ is False."""
    use(use_tz=False)
    naive = datetime(2030, 1, 1, 9)  # noqa: DTZ001
    result = api.task(keep).using(run_after=naive).enqueue()
    assert api.backend.get_result(result.id).task.run_after == naive
    assert api.engine.task_store().get(result.id).run_after == datetime(2030, 1, 1, 0, tzinfo=UTC).timestamp() * 1e6
    assert result.enqueued_at.tzinfo is None


@pytest.mark.parametrize("when", [timedelta(seconds=1), date(2030, 1, 1), 5, "tomorrow"])
@pytest.mark.parametrize("use_tz", [True, False])
def test_other_times_are_refused(api, use, use_tz, when):
    use(use_tz=use_tz)
    with pytest.raises(api.InvalidTask, match="run_after must be an aware datetime"):
        api.task(add).using(run_after=when)


@pytest.mark.parametrize("priority", ["5", float("nan"), float("inf"), 3.5, 101, -101])
def test_invalid_priority_is_refused(api, priority):
    with pytest.raises(api.InvalidTask, match="priority must be a whole number"):
        api.task(add).using(priority=priority)


def test_whole_number_of_another_type_is_a_priority(api):
    result = api.task(keep).using(priority=5.0).enqueue()
    assert api.engine.task_store().get(result.id).priority == 5


def test_tasks_run_by_priority(api):
    with api.engine.paused():
        for priority in (-1, 5, 0):
            api.task(keep).using(priority=priority).enqueue(priority)
    assert [args for args, _ in CALLS] == [(5,), (0,), (-1,)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "args"),
        ([1, float("inf")], "args"),
        ("\ud800", "args"),
        pytest.param(10**5000, "args", id="too long"),
        ({1: "a", "1": "b"}, "two have the text '1'"),
        ({None: 1}, "Unsupported type of a key"),
        (datetime.now(UTC), "Unsupported type: <class 'datetime.datetime'>"),
        ({1, 2}, "Unsupported type: <class 'set'>"),
    ],
)
def test_argument_that_json_would_change_is_refused(api, value, text):
    """As TypeError. Most of them name the parameter."""
    with pytest.raises(TypeError, match=text):
        api.task(keep).enqueue(value)
    assert api.engine.enqueued == ()


@pytest.mark.parametrize(
    ("args", "kwargs", "name"),
    [((1, {2}), {}, "to"), ((), {"to": {2}, "value": 1}, "to"), ((1, 2, {3}), {}, "number 3")],
)
def test_the_error_names_the_argument_that_json_does_not_have(api, args, kwargs, name):
    from heliograph.contrib.django.task_arguments import JsonCodec

    def send(value=None, to=None): ...

    with pytest.raises(TypeError, match=rf"Unsupported type: <class 'set'> in the argument '{name}'\. Pass text"):
        JsonCodec(send, "send", takes_context=False).encode(args, kwargs)


class Colour(enum.IntEnum):
    RED = 1


def test_arguments_come_as_json_has_them(api):
    """In the result of `enqueue()`, in a later result, and in the function."""
    result = api.task(keep).enqueue((1, Colour.RED), {2: "b"}, b"text", to=None)
    expected = [[1, 1], {"2": "b"}, "text"]
    assert result.args == expected
    assert type(result.args[0][1]) is int
    assert api.backend.get_result(result.id).args == expected
    assert [(tuple(expected), {"to": None})] == CALLS


def test_arguments_are_checked_when_enqueued(api):
    """Against the parameters of the function."""
    with pytest.raises(TypeError, match="missing a required argument: 'b'"):
        api.task(add).enqueue(1)


def test_options_of_the_settings(api, use):
    """For all tasks, then for a queue, then for a function."""
    path = f"{add.__module__}.add"
    options = {
        "retries": 1,
        "backoff": 2,
        "queues": {"reports": {"backoff": 3, "target": "mule2"}},
        "tasks": {path: {"retries": 4}},
    }
    use(QUEUES=["default", "reports"], OPTIONS=options)
    api.task(add)
    api.task(keep)
    definitions = {name.rpartition(":")[2]: known.options for name, known in TASKS.definitions.items()}
    assert (definitions["add"].retries, definitions["add"].backoff, definitions["add"].target) == (4, 2.0, "default")
    assert (definitions["keep"].retries, definitions["keep"].backoff) == (1, 2.0)
    result = api.task(keep).using(queue_name="reports").enqueue()
    assert api.engine.task_store().get(result.id).target == "mule2"
    result.refresh()
    assert result.worker_ids == [f"mule2 ({os.getpid()})"]


def test_options_in_the_decorator(api):
    """From Django 6.1 on, and with the package django-tasks."""
    if (6, 0) <= django.VERSION < (6, 1):
        pytest.skip("Django 6.0 takes no other options")
    result = api.task(retries=2, backoff=0, target="mule1")(fail).enqueue()
    result.refresh()
    assert (CALLS, result.attempts, len(result.errors), result.status) == (["fail"] * 3, 3, 3, "FAILED")
    assert result.worker_ids[0].startswith("mule1")


def test_unknown_option_in_the_decorator(api):
    with pytest.raises(TypeError, match="tries"):
        api.task(tries=5)(add)


@pytest.mark.parametrize(
    ("name", "value"), [("retries", -1), ("rate", "0/m"), ("target", "bogus"), ("target", "workers")]
)
def test_invalid_option_of_a_task(api, name, value):
    with pytest.raises(api.InvalidTask, match=name if name != "target" else value):
        api.task(add).using(**{name: value})


def test_unique_task_is_enqueued_once(api, sent):
    """The second call returns the first task, and tells nobody."""
    with api.engine.paused():
        unique = api.task(keep).using(unique="hello")
        first, second = unique.enqueue(), unique.enqueue()
    assert first.id == second.id
    assert [event[0] for event in sent] == ["task_enqueued", "task_started", "task_finished"]


def test_failed_attempt_is_repeated(api, use, sent):
    """The context counts attempts. Only the end is told."""
    use(OPTIONS={"retries": 1, "backoff": 10})
    result = api.task(takes_context=True)(fail_once).enqueue()
    assert [(1, result.id, 1)] == CALLS
    result.refresh()
    assert (result.status, result.is_finished, len(result.errors)) == ("READY", False, 1)
    api.engine.clock.sleep(10)
    assert [(1, result.id, 1), (2, result.id, 2)] == CALLS
    result.refresh()
    assert (result.status, result.attempts) == ("SUCCESSFUL", 2)
    assert result.last_attempted_at - result.started_at == timedelta(seconds=10)
    assert [event[0] for event in sent] == ["task_enqueued", "task_started", "task_started", "task_finished"]


def test_signals_of_a_failed_task(api, sent, heliograph_engine):
    """The sender is the class of the backend. The exception is the current one for receivers of the end."""
    api.task(fail).enqueue()
    kinds = [
        ("task_enqueued", "READY", None),
        ("task_started", "RUNNING", None),
        ("task_finished", "FAILED", LookupError),
    ]
    assert sent == [(name, api.Backend, status, error) for name, status, error in kinds]
    assert len(heliograph_engine.take_failed_tasks()) == 1


def test_receiver_that_fails_does_not_harm_the_task(api):
    def receive(**_kwargs):
        raise OSError("no mail")

    signals = (api.task_enqueued, api.task_started, api.task_finished)
    for signal in signals:
        signal.connect(receive)
    try:
        result = api.task(add).enqueue(1, 2)
        result.refresh()
        assert result.return_value == 3
    finally:
        for signal in signals:
            signal.disconnect(receive)


def test_system_exit_is_a_failure(api):
    result = api.task(leave).enqueue()
    result.refresh()
    assert result.status == "FAILED"
    assert result.errors[0].exception_class is SystemExit
    assert result.errors[0].traceback.endswith("SystemExit: gone\n")


def test_return_value_without_json_is_a_failure_at_once(api, use):
    """The function has run, so it is not repeated."""
    use(OPTIONS={"retries": 5, "backoff": 0})
    result = api.task(unkeepable).enqueue()
    result.refresh()
    assert (CALLS, result.status) == (["unkeepable"], "FAILED")
    assert result.errors[0].exception_class is TypeError
    assert "Unsupported type" in result.errors[0].traceback


def test_async_task(api):
    result = api.task(takes_context=True)(double).enqueue(21)
    result.refresh()
    assert result.return_value == [42, 1]


@pytest.mark.parametrize(
    ("status", "error"),
    [(TaskStatus.CANCELLED, TaskCancelled), (TaskStatus.EXPIRED, TaskExpired), (TaskStatus.DEAD, ProcessEnded)],
)
def test_other_statuses_are_failures_with_a_reason(api, status, error):
    """Django has no such status."""
    from heliograph.contrib.django.task_results import result_of

    result = api.task(keep).enqueue()
    row = SimpleNamespace(**vars(result_row(api, result)) | {"status": status, "value": None})
    shown = result_of(row, result.task)
    assert (shown.status, shown.is_finished) == ("FAILED", True)
    assert shown.errors[-1].exception_class is error
    with pytest.raises(ValueError, match="Task failed"):
        shown.return_value  # noqa: B018


def result_row(api, result):
    row = api.engine.task_store().get(result.id)
    return SimpleNamespace(**{name: getattr(row, name) for name in row.__dataclass_fields__})


def test_cancelled_task(api):
    result = api.task(keep).using(run_after=datetime(2100, 1, 1, tzinfo=UTC)).enqueue()
    from heliograph import get_result

    assert get_result(result.id).cancel()
    result.refresh()
    assert result.errors[0].exception_class is TaskCancelled
    assert CALLS == []


def test_task_of_a_function_that_is_gone(api):
    """It waits. Its result names the function."""
    result = api.task(keep).using(run_after=datetime(2100, 1, 1, tzinfo=UTC)).enqueue(1)
    TASKS.replace_all({})
    found = api.backend.get_result(result.id)
    assert (found.status, found.args, found.task.module_path) == ("READY", [1], f"{keep.__module__}.keep")
    with pytest.raises(LookupError, match="keep"):
        found.task.func(1)


@pytest.mark.parametrize("task_id", ["123", "", "\ud800", "a\0b", "x" * 10_000, None, 5, b"1"])
def test_missing_result(api, task_id):
    with pytest.raises(api.TaskResultDoesNotExist):
        api.backend.get_result(task_id)


def test_row_that_a_command_has_made(api, sent):
    """`heliograph enqueue` does not know what Django keeps of a task."""
    from heliograph._core.tasks.values import NewTask

    api.task(priority=3)(add)
    new = NewTask(f"{add.__module__}:add", "default", b"[[1, 2], {}]")
    (stored,) = api.engine.task_store().enqueue([new], int(api.engine.clock.time() * 1e6))
    api.engine.wake("default")
    result = api.backend.get_result(stored.id)
    assert (result.status, result.return_value, result.task.queue_name) == ("SUCCESSFUL", 3, "default")
    assert [event[0] for event in sent] == ["task_started", "task_finished"]


def test_backend_that_the_settings_have_no_longer(api, use):
    """Its tasks run, and any backend finds them."""
    from django.test import override_settings

    with override_settings(TASKS={"old": {"BACKEND": BACKEND}, "default": {"BACKEND": BACKEND}}), api.engine.paused():
        result = api.task(backend="old")(add).enqueue(1, 2)
        use()
    found = api.backend.get_result(result.id)
    assert (found.status, found.backend, found.return_value) == ("SUCCESSFUL", "old", 3)


def test_tasks_of_heliograph_are_not_those_of_django(api):
    """A function can be a task of one of them."""
    result = heliograph_task(add).enqueue(1, 2)
    with pytest.raises(api.TaskResultDoesNotExist):
        api.backend.get_result(result.id)
    with pytest.raises(api.InvalidTask, match="is a task of heliograph already"):
        api.task(add)


def test_same_path_for_two_functions_is_refused(api):
    """A row names the function by its path."""
    api.task(add)
    other = compile("def add(a, b): return 0", "elsewhere.py", "exec")
    names = {"__name__": add.__module__}
    exec(other, names)
    with pytest.raises(api.InvalidTask, match="duplicate task name"):
        api.task(names["add"])


def test_connections_are_closed_around_a_task(api, monkeypatch):
    from heliograph.contrib.django import connections

    monkeypatch.setattr(connections, "close_old_connections", lambda: CALLS.append("close"))
    api.task(keep).enqueue(1)
    assert CALLS == ["close", ((1,), {}), "close"]


def messages(api):
    return [(message.id, message.msg) for message in api.backend.check()]


def test_checks_find_nothing(api):
    assert messages(api) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tries": 5}, "has an unknown key: 'tries'"),
        ({"queues": {"default": {"retries": "x"}}}, "['queues']['default']: invalid retries: 'x'"),
        ({"tasks": {"shop.send": {"target": "bogus"}}}, "['tasks']['shop.send']: "),
        ({"tasks": 5}, "['tasks'] is invalid: 5"),
    ],
)
def test_check_of_options(api, use, options, text):
    """And a task cannot be declared."""
    from django.core.exceptions import ImproperlyConfigured

    use(OPTIONS=options)
    ((code, message),) = messages(api)
    assert code == "heliograph.E001"
    assert text in message
    if "tasks" not in options or not isinstance(options["tasks"], dict):
        with pytest.raises(ImproperlyConfigured):
            api.task(add)


def test_check_of_queues(api, use):
    use(OPTIONS={"queues": {"reprots": {"target": "mule1"}}})
    assert messages(api) == [
        ("heliograph.E002", "TASKS['default']['OPTIONS']['queues'] has options for an unknown queue: 'reprots'.")
    ]


def test_check_of_installed_apps(api, monkeypatch):
    from django.apps import apps

    monkeypatch.setattr(apps, "is_installed", lambda _name: False)
    assert [code for code, _ in messages(api)] == ["heliograph.W001"]


def program(tmp_path, code, **environment):
    """Run a program with the backend in a new process."""
    (tmp_path / "shop_tasks.py").write_text(f"from {PACKAGE} import task\n\n@task\ndef send_mail(to):\n    return to\n")
    setup = (
        "from django.conf import settings\n"
        f"settings.configure(USE_TZ=True, INSTALLED_APPS={APPS!r}, TASKS={{'default': {{'BACKEND': {BACKEND!r}}}}})\n"
        "import django, sys; django.setup()\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}", **environment}
    return subprocess.run(
        [sys.executable, "-c", setup + code],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_import_of_tasks_opens_nothing(tmp_path):
    """The process that imports them is the one that others are forked from."""
    code = "import shop_tasks; print('sqlite3' in sys.modules)\nshop_tasks.send_mail.get_backend().check()"
    done = program(tmp_path, code, HELIOGRAPH_SPOOLER=str(tmp_path / "tasks"))
    assert done.stdout == "False\n", done.stderr
    assert not (tmp_path / "tasks").exists()


def test_enqueue_without_a_server_and_read_in_another_process(tmp_path):
    """The tasks wait in the directory of the next server."""
    spooler = {"HELIOGRAPH_SPOOLER": str(tmp_path / "tasks")}
    first = program(tmp_path, "import shop_tasks; print(shop_tasks.send_mail.enqueue('a').id)", **spooler)
    task_id = first.stdout.strip()
    assert task_id, first.stderr
    code = f"from {PACKAGE} import default_task_backend as b; print(b.get_result({task_id!r}))"
    second = program(tmp_path, code, **spooler)
    assert "READY" in second.stdout, second.stderr
    assert "function send_mail" in second.stdout


def test_check_of_the_directory(tmp_path):
    """It has to be writable."""
    (tmp_path / "file").touch()
    code = f"from {PACKAGE} import default_task_backend as b; print([(m.id, m.msg) for m in b.check()])"
    done = program(tmp_path, code, HELIOGRAPH_SPOOLER=str(tmp_path / "file/tasks"))
    assert "heliograph.E003" in done.stdout, done.stderr
    assert f"cannot be written: {tmp_path}/file/tasks" in done.stdout


def test_deployment_check_of_the_server(tmp_path):
    """`manage.py check --deploy` warns if no server has used the directory. A plain check does not."""
    code = (
        "from django.core.checks import run_checks\n"
        "for deploy in (False, True):\n"
        "    print([m.id for m in run_checks(include_deployment_checks=deploy) if m.id.startswith('heliograph')])\n"
    )
    done = program(tmp_path, code, HELIOGRAPH_SPOOLER=str(tmp_path / "tasks"))
    assert done.stdout == "[]\n['heliograph.W002']\n", done.stderr


@pytest.mark.parametrize("kind", ["target", "decorator"])
def test_a_trigger_enqueues_a_task(api, sent, tmp_path, kind):
    """A timer, a cron rule and a file monitor, with the task as their target, or over it."""
    declared = api.task(keep)
    watched = tmp_path / "file"
    watched.touch()
    declarations = (
        lambda **options: register_timer(100, name="timer", **options),
        lambda **options: register_cron(minute=7, name="cron", **options),
        lambda **options: register_file_monitor(watched, name="file", **options),
    )
    for declare in declarations:
        declare(target=declared) if kind == "target" else declare()(declared)
    assert {trigger.name for trigger in get_triggers()} >= {"timer", "cron", "file"}
    api.engine.clock.sleep(3600)
    assert len(CALLS) == 36 + 1  # those of the timer, and that of the cron rule
    assert [name for name, *_ in sent] == ["task_enqueued", "task_started", "task_finished"] * 37
    api.engine.changed(str(watched))
    assert len(CALLS) == 36 + 2


def test_a_trigger_enqueues_with_the_options_of_the_task(api):
    register_timer(10, target=api.task(priority=7)(keep))
    api.engine.clock.sleep(10)
    assert [row.priority for row in api.engine.enqueued] == [7]


def test_a_trigger_does_not_enqueue_a_task_that_needs_arguments(api):
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        register_timer(10, target=api.task(add))


def test_a_task_of_another_backend_is_no_target(api, use):
    use(BACKEND=f"{PACKAGE}.backends.dummy.DummyBackend")
    with pytest.raises(SignalTypeError, match=r"is a task of .*DummyBackend\. Use the backend heliograph"):
        register_timer(10, target=api.task(keep))
