"""`heliograph tasks` and `heliograph enqueue` on a store on disk, without a server."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from contextlib import closing

import pytest
from click.testing import CliRunner

from heliograph._core.tasks.values import ClaimRequest, NewTask, Outcome, Rate, TaskLimits, TaskStatus
from heliograph._core.units import duration, size
from heliograph.cli import main
from heliograph.exceptions import StoreError
from heliograph.ipc.state_directory import note_store, store_directory
from heliograph.store.sqlite import SqliteStore
from heliograph.tasks.outcomes import encode_error, error_of
from heliograph.tasks.registry import TASKS
from heliograph.testing.inline import _restored_registries

MODULE = """
from heliograph import task

print("importing")

@task(target="mule2", priority=7)
def send_mail(to: str, count: int = 1): ...

@task(name="mail.other")
def other(): ...
"""


@pytest.fixture
def spool(tmp_path, monkeypatch):
    """The directory of the store, which the commands find by its variable."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HELIOGRAPH_SPOOLER", str(tmp_path / "spool"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "spool"


@pytest.fixture
def store(spool):
    """The store itself, to prepare tasks and to look at them."""
    store = SqliteStore(str(spool), sync=False)
    yield store
    store.close()


@pytest.fixture
def application(spool, monkeypatch):
    """A module `shopping` in the working directory."""
    before = dict(TASKS.definitions)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (spool.parent / "shopping.py").write_text(MODULE)
    yield
    sys.modules.pop("shopping", None)
    TASKS.replace_all(before)


def invoke(*arguments):
    return CliRunner().invoke(main, arguments)


def now():
    return time.time_ns() // 1000


def put(store, name="shop:send", count=1, **fields):
    """Enqueue tasks and return their ids."""
    return [task.id for task in store.enqueue([NewTask(name, "mule", **fields)] * count, now())]


def end(store, *statuses, name="shop:send", error=None):
    """Run one waiting task for each status, oldest first, to that end."""
    owner = store.own(now())
    for status in statuses:
        batch = owner.turn(ClaimRequest("mule", now(), 1, {name: TaskLimits()}, "mule1 (1)"))
        owner.begin(batch.claims[0], now())
        owner.finish(batch.claims[0], Outcome(status, b"42" if status is TaskStatus.SUCCESSFUL else None, error), now())
    owner.close(now())


def listed(*arguments):
    """The JSON of `heliograph tasks`."""
    done = invoke("tasks", *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_list_has_numbers_and_the_newest_tasks(store):
    ids = put(store, count=3) + put(store, "shop:other", run_after=now() + 3_600_000_000)
    end(store, TaskStatus.SUCCESSFUL, TaskStatus.FAILED, error=b'{"type": "E", "traceback": "x\\nE: no\\u001b[2J"}')
    lines = invoke("tasks").stdout.splitlines()
    assert lines[0] == f"{store.facts()['directory']}: 2 READY, 1 SUCCESSFUL, 1 FAILED"
    assert lines[1].split() == ["id", "status", "task", "target", "age", "attempts", "note"]
    assert [line.split()[0] for line in lines[2:]] == ids[::-1]
    assert re.search(r"READY +shop:other +mule +0s +0 +in (1h00m|59m\d\ds)$", lines[2])
    assert lines[4].endswith(r"E: no\x1b[2J")


def test_the_list_is_filtered_and_says_so_if_it_is_cut(store):
    put(store, count=3)
    put(store, "shop:other", unique="k")
    assert [row["task"] for row in listed("--task", "shop:other")["tasks"]] == ["shop:other"]
    assert listed("--status", "failed", "--target", "mule")["tasks"] == []
    assert "The newest 2 of 3 are shown." in invoke("tasks", "--task", "shop:send", "--limit", "2").stdout
    assert listed("--summary")["counts"][0] == {
        "task": "shop:other", "target": "mule", "status": "READY", "count": 1,
    }  # fmt: skip
    assert "tasks" not in listed("--summary")


def test_a_bad_status_names_the_good_ones(store):
    put(store)
    done = invoke("tasks", "--status", "waiting")
    assert done.exit_code == 2
    assert "'waiting' is no status of a task. Use one of READY, RUNNING" in done.stderr


@pytest.mark.parametrize(
    "command", [("--task", "shop:sent"), ("--target", "mule9"), ("retry", "--failed", "--task", "shop:sent")]
)
def test_a_name_that_no_task_has_is_an_error(store, command):
    """It may be a typo. A function of the server need not have tasks."""
    put(store)
    done = invoke("tasks", *command)
    assert (done.exit_code, f"no task or target has the name: {command[-1]}." in done.stderr) == (2, True)
    assert "Known are: mule, shop:send." in done.stderr
    store.note_functions({"shop:sent": "mule9"})
    assert invoke("tasks", *command).exit_code == 0


def test_options_of_the_list_before_a_subcommand_are_an_error(store):
    put(store)
    done = invoke("tasks", "--limit", "3", "check")
    assert (done.exit_code, "Put the options of the subcommand after it" in done.stderr) == (2, True)


def test_tasks_of_functions_that_the_server_lacks_are_unknown(store):
    put(store, "shop:old", count=2)
    put(store)
    assert listed()["unknown"] == {}
    store.note_functions({"shop:send": "mule"})
    assert listed()["unknown"] == {"shop:old": 2}
    assert [row["waits_for"] for row in listed()["tasks"]] == ["no server runs", "unknown function", "unknown function"]
    assert "unknown: 2 waiting for shop:old, which the code" in invoke("tasks").stdout


def test_what_a_limit_or_a_rate_holds_back_is_shown(store):
    """In the list, in `show` and in `status`."""
    limits = {"shop:send": TaskLimits(limit=1), "shop:rated": TaskLimits(rate=Rate(1, 3_600_000_000))}
    store.note_functions(dict.fromkeys(limits, "mule"), limits)
    put(store, count=2)
    put(store, "shop:rated", count=2)
    owner = store.own(now())
    for _ in range(2):
        owner = store.own(now())
        owner.turn(ClaimRequest("mule", now(), 16, limits, "mule1 (1)"))
    waiting = {row["task"]: row["waits_for"] for row in listed("--status", "ready")["tasks"]}
    assert waiting == {"shop:send": "limit reached", "shop:rated": "rate reached"}
    assert listed()["held_back"] == {"shop:send": "limit", "shop:rated": "rate"}
    assert "\nheld back: shop:rated (rate reached)\nheld back: shop:send (limit reached)\n" in invoke("status").stdout
    (task_id, *_) = [row["id"] for row in listed("--status", "ready", "--task", "shop:send")["tasks"]]
    assert re.search(r"status: +READY \(limit reached\)", invoke("tasks", "show", task_id).stdout)


def test_show_prints_all_facts(store):
    (task_id,) = put(store, arguments='[["ä", [1]], {"b": null}]'.encode(), priority=5, unique="k")
    end(store, TaskStatus.FAILED, error=b'{"type": "E", "traceback": "Traceback\\nE: no"}')
    text = invoke("tasks", "show", task_id).stdout
    assert re.search(r'arguments: +\("ä", \[1\], b=null\)\n', text)
    assert re.search(r"options: +priority=5, unique='k'\n", text)
    assert re.search(r"processes: +mule1 \(1\)\n", text)
    assert text.endswith("error 1:\nTraceback\nE: no\n")
    (facts,) = json.loads(invoke("tasks", "show", task_id, "--json").stdout)
    assert (facts["status"], facts["attempts"], facts["errors"][0]["type"]) == ("FAILED", 1, "E")
    assert facts["enqueued_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (ValueError("3 faults:\n- one\n- two"), "ValueError: 3 faults:"),
        (StoreError("the disk is full", "spool"), "StoreError: the disk is full"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (ExceptionGroup("two", [OSError("a"), OSError("b")]), "ExceptionGroup: two (2 sub-exceptions)"),
    ],
)
def test_the_note_has_the_type_and_the_first_line_of_an_exception(store, error, note):
    put(store)
    end(store, TaskStatus.FAILED, error=encode_error(error))
    assert invoke("tasks").stdout.endswith(f"  {note}\n")


def test_show_counts_the_attempts_before_a_retry(store):
    (task_id,) = put(store)
    end(store, TaskStatus.FAILED, error=error_of("E", "no"))
    assert re.search(r"attempts: +1\n", invoke("tasks", "show", task_id).stdout)
    invoke("tasks", "retry", task_id)
    end(store, TaskStatus.SUCCESSFUL)
    text = invoke("tasks", "show", task_id).stdout
    assert re.search(r"attempts: +1 since the last `heliograph tasks retry`, 2 in all\n", text)


def test_show_names_the_time_of_the_next_attempt(store):
    (task_id,) = put(store, run_after=now() - 1)
    owner = store.own(now())
    assert re.search(r"\nrun after: ", invoke("tasks", "show", task_id).stdout)
    for status in (TaskStatus.READY, TaskStatus.SUCCESSFUL):
        (claim,) = owner.turn(ClaimRequest("mule", now(), 1, {"shop:send": TaskLimits()}, "mule1 (1)")).claims
        owner.begin(claim, now())
        owner.finish(
            claim, Outcome(status, error=b"{}" if status is TaskStatus.READY else None, run_after=now()), now()
        )
        owner.turn(ClaimRequest("nobody", now(), 1, {}))
        text = invoke("tasks", "show", task_id).stdout
        assert ("next attempt: " in text, "run after: " in text) == (status is TaskStatus.READY, False)
    owner.close(now())


def test_show_of_an_unknown_id_shows_the_others(store):
    (task_id,) = put(store)
    done = invoke("tasks", "show", "77-ab", task_id)
    assert (done.exit_code, task_id in done.stdout) == (2, True)
    assert "no such task: 77-ab in" in done.stderr


def test_retry_of_all_failed_names_those_whose_key_is_held(store):
    (first,) = put(store, unique="k")
    put(store, count=10)
    end(store, *[TaskStatus.FAILED] * 11)
    (holder,) = put(store, unique="k")
    done = invoke("tasks", "retry", "--failed")
    assert done.exit_code == 1
    assert f"{first} was not retried: key 'k' is held by {holder}" in done.stderr
    assert "Retried 10 tasks" in done.stderr
    assert {row.status for row in store.find() if row.id != first} == {TaskStatus.READY}
    assert store.get(first).status is TaskStatus.FAILED


def test_retry_of_many_failed_takes_them_in_bites(store):
    put(store, count=1234)
    owner = store.own(now())
    while (batch := owner.turn(ClaimRequest("mule", now(), 64, {"shop:send": TaskLimits()}))).claims:
        for claim in batch.claims:
            owner.begin(claim, now())
            owner.finish(claim, Outcome(TaskStatus.FAILED), now())
    owner.close(now())
    assert "Retried 1234 tasks" in invoke("tasks", "retry", "--failed", "--task", "shop:send").stderr
    assert set(store.counts(now())) == {("shop:send", "mule", TaskStatus.READY)}


def test_retry_by_id_names_what_has_not_finished(store):
    waiting, ended = put(store)[0], put(store, "shop:b")[0]
    end(store, TaskStatus.CANCELLED, name="shop:b")
    done = invoke("tasks", "retry", waiting, ended, "1-00")
    assert done.exit_code == 1
    assert f"{waiting} was not retried: it is READY, and has not finished" in done.stderr
    assert "1-00 was not retried: there is no such task" in done.stderr
    assert store.get(ended).status is TaskStatus.READY
    assert f"{ended} was CANCELLED, and runs again" in done.stderr


def test_retry_by_id_of_a_failed_task_needs_no_words(store):
    (failed,), (successful,) = put(store), put(store, "shop:b")
    end(store, TaskStatus.FAILED)
    end(store, TaskStatus.SUCCESSFUL, name="shop:b")
    done = invoke("tasks", "retry", failed, successful)
    assert done.stderr == f"{successful} was SUCCESSFUL, and runs again\nRetried 2 tasks\n"


@pytest.mark.parametrize("arguments", [(), ("--failed", "1-00"), ("--task", "a:b"), ("1-00", "--task", "a:b")])
def test_retry_needs_ids_or_statuses(store, arguments):
    put(store)
    assert invoke("tasks", "retry", *arguments).exit_code == 2


def test_dead_tasks_are_retried_on_request_only(store):
    put(store)
    end(store, TaskStatus.DEAD)
    invoke("tasks", "retry", "--failed")
    assert [row.status for row in store.find()] == [TaskStatus.DEAD]
    invoke("tasks", "retry", "--dead")
    assert [row.status for row in store.find()] == [TaskStatus.READY]


def test_cancel_names_what_it_cannot_cancel(store):
    ended, waiting = put(store, count=2)
    end(store, TaskStatus.SUCCESSFUL)
    done = invoke("tasks", "cancel", waiting, ended, "1-00")
    assert done.exit_code == 1
    assert f"{ended} was not cancelled: it is SUCCESSFUL, and has finished" in done.stderr
    assert "1-00 was not cancelled: there is no such task" in done.stderr
    assert store.get(waiting).status is TaskStatus.CANCELLED
    assert invoke("tasks", "cancel", put(store)[0]).exit_code == 0


def test_pause_and_resume(store):
    put(store)
    store.note_functions({"shop:other": "spooler"})
    done = invoke("tasks", "pause", "shop:send", "shop:sendd")
    assert (done.exit_code, store.paused()) == (2, [])
    assert "no task or target has the name: shop:sendd. Did you mean shop:send? Known are: mule, shop:" in done.stderr
    done = invoke("tasks", "pause", "shop:send", "spooler")
    assert (done.exit_code, [paused.name for paused in store.paused()]) == (0, ["shop:send", "spooler"])
    assert listed()["tasks"][0]["waits_for"] == "paused"
    assert re.search(r"paused: shop:send since \d{4}-.* by \w+ \(process \d+\)", invoke("tasks").stdout)
    assert invoke("tasks", "resume", "shop:send", "spooler").exit_code == 0
    done = invoke("tasks", "resume", "shop:send")
    assert (done.exit_code, done.stderr) == (1, "Error: not paused: shop:send. Nothing is paused.\n")


def test_commands_ring_after_their_change(store, monkeypatch):
    rings = []
    monkeypatch.setattr("heliograph.engines.detached.ring", lambda *ring: rings.append(ring[1:]) or True)
    put(store)
    end(store, TaskStatus.FAILED)
    for arguments in (
        ("tasks", "pause", "shop:send"),
        ("tasks", "resume", "shop:send"),
        ("tasks", "retry", "--failed"),
        ("enqueue", "shop:send", "--unchecked", "--target", "mule2"),
    ):
        assert invoke(*arguments).exit_code == 0
    assert rings == [("mule",), ("mule",), ("mule2",)]
    invoke("enqueue", "shop:send", "--unchecked", "--after", "10m")
    assert rings[3][0] == "default"
    assert 590 < rings[3][1] - time.time() <= 600


def test_backup_check_and_restore(store, tmp_path):
    put(store, count=3)
    file = str(tmp_path / "copy.db")
    assert invoke("tasks", "backup", file).exit_code == 0
    again = invoke("tasks", "backup", file)
    assert (again.exit_code, f"{file} exists" in again.stderr) == (2, True)
    assert invoke("tasks", "check").exit_code == 0
    put(store)
    store.close()
    restored = invoke("tasks", "restore", file)
    assert (restored.exit_code, "Restored 3 tasks" in restored.stderr) == (0, True)
    assert listed("--summary")["counts"][0]["count"] == 3
    assert invoke("tasks", "restore", "--as-it-is").exit_code == 0


def test_a_backup_is_restored_where_there_is_no_store(store, tmp_path):
    put(store)
    invoke("tasks", "backup", "copy.db")
    assert invoke("tasks", "restore", "copy.db", "--spooler", "elsewhere").exit_code == 0
    assert listed("--spooler", str(tmp_path / "elsewhere"))["counts"][0]["count"] == 1


@pytest.mark.parametrize("arguments", [(), ("copy.db", "--as-it-is"), ("missing.db",)])
def test_restore_needs_a_file_or_the_flag(store, arguments):
    put(store)
    assert invoke("tasks", "restore", *arguments).exit_code == 2


def test_restore_refuses_what_is_no_backup(store, tmp_path):
    put(store)
    (tmp_path / "text").write_text("no database " * 1000)
    done = invoke("tasks", "restore", "text")
    assert (done.exit_code, "text is no store of tasks. Use a backup" in done.stderr) == (2, True)
    assert len(store.find()) == 1


def test_restore_refuses_while_a_server_runs(store, spool):
    put(store)
    program = (
        "from heliograph.ipc.store_directory import ServerLock\n"
        f"lock = ServerLock({str(spool)!r}, 'shop')\nprint(flush=True)\ninput()"
    )
    command = [sys.executable, "-c", program]
    lock_holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    lock_holder.stdout.readline()
    try:
        done = invoke("tasks", "restore", "--as-it-is")
        assert (done.exit_code, "belong to a running server: 'shop'" in done.stderr) == (2, True)
        assert listed()["server"] == "shop"
        done = invoke("status")  # of a server without a control socket, such as uWSGI
        assert (done.exit_code, "\nrun by the server shop\n" in done.stdout) == (0, True)
        assert "No server runs" not in invoke("enqueue", "a:b", "--unchecked").stderr
    finally:
        lock_holder.communicate(b"\n")


def test_faults_are_printed_and_the_exit_code_says_so(store, spool):
    put(store)
    store.close()
    (spool / "tasks.db").write_bytes(b"")
    done = invoke("tasks", "check")
    assert (done.exit_code, "its database was emptied" in done.stdout) == (1, True)
    done = invoke("tasks")
    assert (done.exit_code, "heliograph tasks restore FILE" in done.stderr) == (2, True), done.stderr


def test_without_a_store_the_command_names_the_others_and_makes_none(spool, monkeypatch):
    done = invoke("tasks")
    assert done.exit_code == 2
    assert f"no tasks are stored in {spool}. Pass --spooler with the directory that a server has" in done.stderr
    assert not spool.exists()
    monkeypatch.delenv("HELIOGRAPH_SPOOLER")
    assert "No server has tasks. Start one with `heliograph run APP`, or pass --spooler" in invoke("tasks").stderr
    done = invoke("tasks", "--name", "other")
    assert "No server has tasks. Start it with `heliograph run APP --name other`, or pass --spooler" in done.stderr
    assert invoke("enqueue", "a:b", "--unchecked", "--name", "shop").exit_code == 0
    for command in (["tasks"], ["tasks", "restore", "--as-it-is"]):
        done = invoke(*command, "--name", "other")
        assert "Servers with tasks are: shop. Pass one of them as --name, or pass --spooler." in done.stderr
    assert listed("--name", "shop")["counts"][0]["task"] == "a:b"


def test_what_is_no_directory_is_refused(spool, tmp_path):
    (tmp_path / "file").touch()
    for path in "file", "file/deeper":
        assert f"not a directory: {tmp_path / path}" in invoke("tasks", "--spooler", path).stderr
    assert "--spooler is empty" in invoke("tasks", "--spooler", "").stderr


def test_a_server_is_found_by_its_control_socket_only_if_it_answers(spool):
    done = invoke("tasks", "--control", "nothing.sock")
    assert (done.exit_code, "no server answers at nothing.sock" in done.stderr) == (2, True)
    done = invoke("tasks", "--name", "a/b")
    assert (done.exit_code, "invalid --name: 'a/b'" in done.stderr) == (2, True)


def test_a_flag_wins_over_the_variables(store, tmp_path, monkeypatch):
    put(store)
    monkeypatch.setenv("HELIOGRAPH_NAME", "other")
    assert len(listed()["tasks"]) == 1
    assert str(tmp_path / "state" / "heliograph" / "third.tasks") in invoke("tasks", "--name", "third").stderr
    assert f"no tasks are stored in {tmp_path / 'new'}" in invoke("tasks", "--spooler", "new", "show", "1-0").stderr
    assert f"no tasks are stored in {tmp_path / 'new'}" in invoke("tasks", "show", "1-0", "--spooler", "new").stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_told_whose_tasks_they_are(store, spool, tmp_path):
    put(store)
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == "root" and path.stat().st_mode & 0o077 == 0:
            path.chmod(0o755)
    invoke("enqueue", "a:b", "--unchecked")  # imports all modules: the other user may not be able to read them
    os.seteuid(65534)
    try:
        done = [invoke("tasks"), invoke("tasks", "retry", "--failed"), invoke("enqueue", "a:b", "--unchecked")]
        spooled = invoke("tasks", "--spooler", str(spool / "deeper"))
    finally:
        os.seteuid(0)
    assert {result.exit_code for result in done} == {2}
    expected = f"cannot read the tasks in {spool}: they belong to the user root. Run the command as the user of the"
    assert all(expected in result.stderr for result in done)
    assert "permission denied. Run the command as the user of the server: sudo -u root" in spooled.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_that_root_restores_belong_to_the_user_of_the_directory(store, spool):
    put(store)
    store.close()
    os.chown(spool, 65534, 65534)
    assert invoke("tasks", "restore", "--as-it-is").exit_code == 0
    assert {path.stat().st_uid for path in spool.iterdir()} == {65534}


def test_enqueue_checks_the_arguments_and_uses_the_options_of_the_function(store, application):
    done = invoke("enqueue", "shopping:send_mail", '["a@example.org"]', '{"count": 2}', "--priority", "3")
    row = store.get(done.stdout.strip())
    assert (done.exit_code, row.name, row.target, row.priority) == (0, "shopping:send_mail", "mule2", 3)
    assert json.loads(row.arguments) == [["a@example.org"], {"count": 2}]
    done = invoke("enqueue", "shopping:send_mail", '{"to": "x"}')
    assert json.loads(store.get(done.stdout.strip()).arguments) == [[], {"to": "x"}]
    assert "No server runs for" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["[1]"], "invalid argument 'to' of shopping:send_mail"),
        (["[]"], "missing a required argument: 'to'"),
        (["[1"], "invalid arguments: [1"),
        (['"a"'], "Pass JSON: a list of positional arguments"),
        (["[NaN]"], "invalid arguments: [NaN]"),
        (["{}", "{}"], "Pass a list first if an object follows"),
        (["[]", "[]"], "invalid arguments"),
        (['["a"]', "--priority", "101"], "invalid priority: 101"),
        (['["a"]', "--target", "workers"], "a task runs in one process"),
        (['["a"]', "--unique", ""], "invalid unique: ''"),
        (['["a"]', "--after", "2026-12-01T09:00:00"], "has no time zone. Add it"),
        (['["a"]', "--after", "-5m"], "is no time"),
        (['["a"]', "--expires", "soon"], "is no time. Use a time from now"),
        (['["a"]', "--expires", "99999999999999d"], "is too long"),
        (['["a"]', "--after", "99999999w"], "is too long. Use a time of at most 100 years"),
    ],
)
def test_enqueue_refuses_bad_values_by_name(application, arguments, message):
    for extra in [], ["--unchecked"]:
        done = invoke("enqueue", "shopping:send_mail", *extra, *arguments)
        if extra and arguments in (["[1]"], ["[]"]):
            continue
        assert (done.exit_code, message in done.stderr) == (2, True), done.output


def test_enqueue_by_the_name_of_a_task_and_by_that_of_its_function(store, application):
    for name in "shopping:other", "mail.other":
        done = invoke("enqueue", name)
        assert store.get(done.stdout.strip()).name == "mail.other"


def test_enqueue_of_an_unknown_function_suggests_another(application):
    done = invoke("enqueue", "shopping:send_mial")
    assert done.exit_code == 2
    assert "no such task: shopping:send_mial. Did you mean shopping:send_mail?" in done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nightly", "no such task: shopping:nightly. nightly is the handler of signal 77: use `heliograph send`, or"),
        ("plain", "no such task: shopping:plain. plain is no task: decorate it with @task."),
    ],
)
def test_enqueue_of_a_function_that_is_no_task_says_so(application, spool, name, message):
    code = "\nfrom heliograph import Signal\n\n@Signal(77)\ndef nightly(): ...\n\ndef plain(): ...\n"
    with (spool.parent / "shopping.py").open("a") as module:
        module.write(code)
    with _restored_registries():
        done = invoke("enqueue", f"shopping:{name}")
    assert (done.exit_code, message in done.stderr) == (2, True), done.stderr


def test_enqueue_of_a_function_that_nobody_knows_is_an_error(spool):
    """The place or the name may be mistyped, and the task would wait there for ever."""
    done = invoke("enqueue", "nowhere:f", "[1]")
    assert (done.exit_code, "cannot import nowhere: ModuleNotFoundError" in done.stderr) == (2, True)
    assert "--unchecked" in done.stderr


def test_enqueue_without_the_module_goes_by_the_functions_of_the_server(store):
    store.note_functions({"nowhere:g": "farm_x"})
    done = invoke("enqueue", "nowhere:f", "[1]")
    assert (done.exit_code, "Did you mean nowhere:g?" in done.stderr) == (2, True)
    done = invoke("enqueue", "nowhere:g", "[1]")
    assert store.get(done.stdout.strip()).target == "farm_x"
    done = invoke("enqueue", "nowhere:f", "[1]", "--unchecked")
    assert store.get(done.stdout.strip()).target == "default"


def test_enqueue_prints_nothing_but_the_id(application, monkeypatch):
    monkeypatch.setenv("HELIOGRAPH_ENGINE", "uwsgi")  # of a shell that starts a server, too
    done = invoke("enqueue", "shopping:send_mail", '["a"]')
    assert re.fullmatch(r"[0-9a-f]+-[0-9a-f]{16}\n", done.stdout)


def test_a_module_that_ends_the_process_does_not_end_the_command(spool, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "broken_application.py").write_text("raise SystemExit(3)")
    done = invoke("enqueue", "broken_application:f")
    assert (done.exit_code, "cannot import broken_application: SystemExit: 3" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["shopping:send_male", '["a"]'],
        ["shopping:send_mail", "[]"],
        ["shopping:send_mail", '["a"]', "--priority", "101"],
        ["nowhere:f"],
        ["a:b", "--unchecked", "--target", "mules"],
        ["a:b", "--unchecked", "--priority", "101"],
        ["a\0b", "--unchecked"],
        ["a:b", "--unchecked", "--unique", ""],
    ],
)
def test_an_enqueue_that_fails_makes_no_store(spool, application, arguments):
    assert invoke("enqueue", *arguments).exit_code == 2
    assert not spool.exists()


def test_enqueue_makes_no_store_on_a_file_system_that_cannot_lock(spool, monkeypatch):
    monkeypatch.setattr("heliograph.ipc.store_directory.check_filesystem", refuse_nfs)
    done = invoke("enqueue", "a:b", "--unchecked")
    assert (done.exit_code, "NFS" in done.stderr) == (2, True)
    assert not (spool / "tasks.db").exists()


@pytest.mark.parametrize(("text", "is_stored"), [("1", True), ("yes", True), ("0", False), ("off", False), ("", False)])
def test_a_variable_lets_enqueue_make_a_store_there(spool, monkeypatch, text, is_stored):
    """It is true or false, as the variable of any flag is."""
    monkeypatch.setattr("heliograph.ipc.store_directory.check_filesystem", refuse_nfs)
    monkeypatch.setenv("HELIOGRAPH_ANY_FS", text)
    assert invoke("enqueue", "a:b", "--unchecked").exit_code == (0 if is_stored else 2)
    assert (spool / "tasks.db").exists() == is_stored


def refuse_nfs(path, *, allow_any):
    if not allow_any:
        raise StoreError(f"cannot keep tasks on NFS: {path}. Use a local directory.", path)


def test_enqueue_with_a_key_that_is_held_prints_the_id_of_the_holder(store, application):
    for arguments in (["shopping:send_mail", '["a"]'], ["a:b", "--unchecked"]):
        first = invoke("enqueue", *arguments, "--unique", "k")
        second = invoke("enqueue", *arguments, "--unique", "k", "--after", "1h")
        assert first.stdout == second.stdout
        assert "Nothing was added: a task with the key 'k' waits or runs" in second.stderr
        assert "Nothing was added" not in first.stderr


def test_times_are_read_with_their_zone(store):
    done = invoke("enqueue", "a:b", "--unchecked", "--after", "2030-01-01T01:00+01:00", "--expires", "1d12h")
    row = store.get(done.stdout.strip())
    assert row.run_after == 1_893_456_000_000_000
    assert abs(row.expires - now() - 129_600_000_000) < 60_000_000


def test_status_has_the_facts_of_the_store(store, monkeypatch):
    put(store)
    invoke("tasks", "pause", "shop:send")
    monkeypatch.setattr("heliograph.store.sqlite.sqlite_warning", lambda: "SQLite 3.40.1 has a fault.")
    done = invoke("status")
    assert done.exit_code == 2
    assert "no server runs. Start one with `heliograph run APP`" in done.stderr
    assert re.search(r"tasks: 1 READY, in\s+.*/spool\npaused: shop:send\n", done.stdout)
    assert re.search(r"files: [\d.]+ KiB, write-ahead log [\d.]+ (KiB|B), free: [\d.]+ GiB\n", done.stdout)
    assert "\nwarning: SQLite 3.40.1 has a fault.\n" in done.stdout
    assert (done.stdout + done.stderr).count("SQLite") == 1
    monkeypatch.setattr("heliograph.store.sqlite.sqlite_warning", lambda: None)
    assert re.search(r"\nSQLite \d+\.\d+\.\d+\n$", invoke("status").stdout)
    facts = json.loads(invoke("status", "--json").stdout)
    assert (facts["server"], facts["problems"], facts["store"]["paused"]) == (None, [], ["shop:send"])
    assert [(task["name"], task["counts"], task["is_paused"]) for task in facts["store"]["tasks"]] == [
        ("shop:send", {"READY": 1}, True)
    ]


def test_status_says_that_nothing_is_stored(spool):
    done = invoke("status")
    assert (done.exit_code, done.stdout) == (2, f"tasks: none are stored in {spool}\n")


def test_status_names_a_log_that_a_reader_keeps_long(store, monkeypatch):
    put(store)
    monkeypatch.setattr("heliograph.store.database.Database.log_size", lambda _: 100 << 20)
    assert "write-ahead log 100.0 MiB (a program that reads the file" in " ".join(invoke("status").stdout.split())


def test_progress_is_shown_on_a_terminal_only():
    program = """
import time
from heliograph.cli.tasks.progress import elapsed_time, shown_progress
with shown_progress("Copying") as progress:
    time.sleep(0.25)
    progress.update(5, 20)
with elapsed_time("Checking"):
    time.sleep(0.6)
"""
    command = [sys.executable, "-c", program]
    quiet = subprocess.run(command, capture_output=True, check=True)
    assert quiet.stderr == b""
    leader, follower = pty.openpty()
    subprocess.run(command, stderr=follower, check=True)
    os.close(follower)
    shown = b""
    while select.select([leader], [], [], 0.5)[0]:
        try:
            shown += os.read(leader, 4096)
        except OSError:
            break
    os.close(leader)
    assert b"Copying: 5 of 20  25 %" in shown
    assert b"Checking: 0 s" in shown
    assert shown.endswith(b"\r\x1b[K")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (59.4, "59s"), (60, "1m00s"), (605, "10m"), (3725, "1h02m"), (90_000, "1d01h"), (864_000, "10d")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (2048, "2.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.0 GiB")])
def test_sizes(count, text):
    assert size(count) == text


def test_the_commands_of_a_server_import_neither_sqlite_nor_msgspec():
    program = "import heliograph.cli, sys; print([m for m in ('sqlite3', 'msgspec') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_status_warns_of_tasks_that_wait_in_the_store_without_spooler(store, spool, tmp_path):
    """Once a server has noted its directory of tasks, and while a task waits in the other one."""
    put(store)
    with closing(SqliteStore(str(store_directory("shop")), sync=False)) as other:
        put(other, count=2)
        assert "from a start without" not in invoke("status").stdout
        note_store("shop", spool)
        text = f"Tasks wait in {store_directory('shop')}, from a start without --spooler (number: 2)"
        assert text in invoke("status").stdout
        assert json.loads(invoke("status", "--json").stdout)["store"]["left_tasks"] == 2
        assert json.loads(invoke("status", "--json").stdout)["store"]["tasks"][0]["counts"] == {"READY": 1}
        for row in other.find():
            other.cancel(row.id, now())
        assert "from a start without" not in invoke("status").stdout


def test_status_ignores_a_store_without_spooler_that_is_damaged(store, spool):
    note_store("shop", spool)
    directory = store_directory("shop")
    directory.mkdir(parents=True, mode=0o700)
    (directory / "tasks.db").write_bytes(b"no database")
    assert "without --spooler" not in invoke("status").stdout
