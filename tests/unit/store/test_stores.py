"""The behaviour of a store of tasks: one suite for each implementation."""

import threading
import time
from dataclasses import replace

import pytest

from heliograph._core.tasks.values import NewTask, Outcome, Rate, TaskLimits, TaskStatus

SECOND = 1_000_000
NAME = "shop.tasks:send_mail"
OTHER = "shop.tasks:make_invoice"
READY, RUNNING, SUCCESSFUL, FAILED, DEAD, CANCELLED, EXPIRED = TaskStatus


def ids(claims):
    return [claim.id for claim in claims]


def test_a_task_runs_once_and_keeps_its_value(scene):
    task = scene.enqueue(arguments=b"[[1],{}]")
    row = scene.store.get(task)
    assert (row.status, row.attempts, row.arguments, row.finished_at, row.workers) == (READY, 0, b"[[1],{}]", 0, ())
    owner = scene.own()
    scene.pass_time(1)
    [claim] = scene.claim(owner)
    assert (claim.id, claim.name, claim.arguments, claim.attempt) == (task, NAME, b"[[1],{}]", 1)
    assert scene.status(task) is RUNNING
    scene.pass_time(1)
    assert owner.begin(claim, scene.now)
    scene.pass_time(1)
    owner.finish(claim, Outcome(SUCCESSFUL, b"42"), scene.now)
    assert scene.claim(owner) == []
    row = scene.store.get(task)
    assert (row.status, row.value, row.attempts, row.workers) == (SUCCESSFUL, b"42", 1, ("mule1 (1)",))
    assert (row.first_attempt_at, row.last_attempt_at) == (scene.now - SECOND, scene.now - SECOND)
    assert row.finished_at == scene.now


def test_an_end_is_seen_before_the_next_turn(scene):
    task = scene.enqueue()
    owner = scene.own()
    scene.run(owner, Outcome(SUCCESSFUL, b"1"))
    row = scene.store.get(task)
    assert (row.status, row.value, row.finished_at) == (SUCCESSFUL, b"1", scene.now)


@pytest.mark.parametrize("size", [0, 1, 191, 192, 193, 5000, 1 << 20])
def test_a_value_of_any_size_is_kept(scene, size):
    task = scene.enqueue()
    owner = scene.own()
    scene.run(owner, Outcome(SUCCESSFUL, b"x" * size))
    scene.turn(owner)
    assert scene.store.get(task).value == b"x" * size


def test_no_value_is_not_an_empty_value(scene):
    task = scene.enqueue()
    owner = scene.own()
    scene.run(owner, Outcome(FAILED))
    scene.turn(owner)
    assert scene.store.get(task).value is None


def test_larger_priorities_run_first_and_equal_ones_in_order(scene):
    tasks = [scene.enqueue(priority=priority) for priority in (0, 5, -100, 5, 100, 0)]
    wanted = [tasks[i] for i in (4, 1, 3, 0, 5, 2)]
    assert ids(scene.claim(scene.own())) == wanted


def test_priority_holds_between_functions(scene):
    low = scene.enqueue(NAME, priority=1)
    high = scene.enqueue(OTHER, priority=2)
    lowest = scene.enqueue(OTHER, priority=0)
    assert ids(scene.claim(scene.own(), known=(NAME, OTHER))) == [high, low, lowest]


def test_a_batch_says_that_there_is_more(scene):
    tasks = [scene.enqueue() for _ in range(5)]
    first = scene.turn(scene.own(), limit=3)
    second = scene.turn(scene.own(), limit=3)
    assert (ids(first.claims), first.more) == (tasks[:3], True)
    assert (ids(second.claims), second.more) == (tasks[3:], False)


def test_the_last_full_batch_does_not_say_that_there_is_more(scene):
    tasks = [scene.enqueue() for _ in range(3)]
    batch = scene.turn(scene.own(), limit=3)
    assert (ids(batch.claims), batch.more) == (tasks, False)


def test_a_target_gets_its_own_tasks_only(scene):
    mule = scene.enqueue(target="mule")
    spooler = scene.enqueue(target="spooler")
    owner = scene.own()
    assert ids(scene.claim(owner, target="spooler")) == [spooler]
    assert ids(scene.claim(scene.own())) == [mule]


def test_an_unknown_function_waits_and_does_not_block_others(scene):
    unknown = [scene.enqueue(OTHER, priority=10) for _ in range(20)]
    known = scene.enqueue()
    owner = scene.own()
    assert scene.run(owner) == [known]
    assert scene.claim(owner) == []
    assert {scene.status(task) for task in unknown} == {READY}
    assert ids(scene.claim(owner, known=(OTHER,)))[0] == unknown[0]
    assert scene.store.get(unknown[0]).attempts == 1


def test_a_deferred_task_waits_for_its_time(scene):
    task = scene.enqueue(run_after=scene.now + 10 * SECOND)
    soon = scene.enqueue(run_after=scene.now + 5 * SECOND)
    owner = scene.own()
    batch = scene.turn(owner)
    assert (batch.claims, batch.next_at) == ((), scene.now + 5 * SECOND)
    scene.pass_time(5)
    batch = scene.turn(owner)
    assert (ids(batch.claims), batch.next_at) == ([soon], scene.now + 5 * SECOND)
    scene.pass_time(5)
    batch = scene.turn(scene.own())
    assert (ids(batch.claims), batch.next_at) == ([task], None)


def test_a_time_in_the_past_means_now(scene):
    task = scene.enqueue(run_after=-(2**62))
    assert ids(scene.claim(scene.own())) == [task]


def test_an_expired_task_does_not_begin(scene):
    task = scene.enqueue(expires=scene.now + SECOND)
    in_time = scene.enqueue(expires=scene.now + SECOND + 1)
    owner = scene.own()
    scene.pass_time(1)
    batch = scene.turn(owner)
    assert ids(batch.claims) == [in_time]
    row = scene.store.get(task)
    assert (row.status, row.finished_at, row.attempts) == (EXPIRED, scene.now, 0)


def test_an_expiry_is_a_time_to_look_again(scene):
    scene.enqueue(expires=scene.now + 7 * SECOND, run_after=scene.now + 9 * SECOND)
    assert scene.turn(scene.own()).next_at == scene.now + 7 * SECOND


def test_a_key_brings_back_the_task_that_waits_or_runs(scene):
    task = scene.enqueue(unique="k")
    owner = scene.own()
    again = scene.store.enqueue([NewTask(NAME, "mule", unique="k")], scene.now)[0]
    assert (again.id, again.is_new) == (task, False)
    [claim] = scene.claim(owner)
    assert scene.enqueue(unique="k") == task
    assert owner.begin(claim, scene.now)
    assert scene.enqueue(unique="k", target="spooler") == task
    owner.finish(claim, Outcome(READY, run_after=scene.now + SECOND), scene.now)
    assert scene.enqueue(unique="k") == task
    assert scene.enqueue(OTHER, unique="k") != task
    assert scene.enqueue(unique="other") != task


def _succeed(scene, owner, task):
    scene.run(owner)


def _fail(scene, owner, task):
    scene.run(owner, Outcome(FAILED, error=b'{"type": "E"}'))


def _die(scene, owner, task):
    for _ in range(3):
        owner = scene.own()
        [claim] = scene.claim(owner)
        assert owner.begin(claim, scene.now)
        scene.kill(owner)
    scene.turn(scene.own())
    assert scene.status(task) is DEAD


def _cancel(scene, owner, task):
    assert scene.store.cancel(task, scene.now)


def _expire(scene, owner, task):
    scene.pass_time(100)
    scene.turn(owner)


@pytest.mark.parametrize("end", [_succeed, _fail, _die, _cancel, _expire])
def test_a_key_is_free_as_soon_as_its_task_has_ended(scene, end):
    """However it ended, and whether or not its result is kept."""
    task = scene.enqueue(unique="k", expires=scene.now + 50 * SECOND)
    end(scene, scene.own(), task)
    assert scene.status(task).is_finished
    stored = scene.store.enqueue([NewTask(NAME, "mule", unique="k")], scene.now)[0]
    assert stored.is_new
    assert stored.id != task


def test_keys_hold_within_one_call(scene):
    stored = scene.store.enqueue([NewTask(NAME, "mule", unique=key) for key in ("a", "b", "a", None, "b")], scene.now)
    assert [item.is_new for item in stored] == [True, True, False, True, False]
    assert (stored[2].id, stored[4].id) == (stored[0].id, stored[1].id)


def test_a_killed_process_gives_back_what_had_not_begun(scene):
    begun, waiting = scene.enqueue(), scene.enqueue()
    owner = scene.own()
    first, _ = scene.claim(owner)
    assert owner.begin(first, scene.now)
    scene.kill(owner)
    claims = scene.claim(scene.own(), worker="mule2 (2)")
    assert [(claim.id, claim.attempt) for claim in claims] == [(begun, 2), (waiting, 1)]
    rows = [scene.store.get(task) for task in (begun, waiting)]
    assert [(row.deaths, row.workers) for row in rows] == [(1, ("mule1 (1)", "mule2 (2)")), (0, ("mule2 (2)",))]


def test_a_process_that_was_killed_after_the_end_of_a_task_does_not_repeat_it(scene):
    task = scene.enqueue()
    owner = scene.own()
    scene.run(owner, Outcome(SUCCESSFUL, b"7"))
    scene.kill(owner)
    assert scene.claim(scene.own()) == []
    assert (scene.status(task), scene.store.get(task).value) == (SUCCESSFUL, b"7")


def test_a_living_process_keeps_its_task(scene):
    """Time does not decide: a process may be stopped or busy for as long as it likes."""
    scene.enqueue()
    owner = scene.own()
    [claim] = scene.claim(owner)
    assert owner.begin(claim, scene.now)
    scene.pass_time(10**6)
    assert scene.claim(scene.own()) == []
    owner.finish(claim, Outcome(SUCCESSFUL), scene.now)
    assert scene.status(claim.id) is SUCCESSFUL


def test_the_third_death_in_a_row_sets_a_task_aside(scene):
    task = scene.enqueue()
    for worker in "abc":
        owner = scene.own()
        [claim] = scene.claim(owner, worker=worker)
        assert owner.begin(claim, scene.now)
        scene.kill(owner)
    assert scene.claim(scene.own()) == []
    row = scene.store.get(task)
    assert (row.status, row.attempts, row.deaths, row.workers) == (DEAD, 3, 3, ("a", "b", "c"))
    assert len(row.errors) == 3
    assert b"ended: c" in row.errors[2]


def test_deaths_count_in_a_row_only(scene):
    task = scene.enqueue()
    for number in range(6):
        owner = scene.own()
        [claim] = scene.claim(owner)
        assert owner.begin(claim, scene.now)
        if number % 2:
            owner.finish(claim, Outcome(READY), scene.now)
            owner.close(scene.now)
        else:
            scene.kill(owner)
    assert scene.status(task) is READY


def test_a_kill_by_the_server_does_not_count(scene):
    task = scene.enqueue()
    for _ in range(7):
        owner = scene.own()
        [claim] = scene.claim(owner)
        assert claim.attempt == 1
        assert owner.begin(claim, scene.now)
        owner.interrupt()
        scene.kill(owner)
    scene.turn(scene.own())
    row = scene.store.get(task)
    assert (row.status, row.deaths, row.attempts, row.errors) == (RUNNING, 0, 1, ())


def test_an_attempt_that_the_server_interrupted_does_not_count(scene):
    task = scene.enqueue()
    owner = scene.own()
    scene.run(owner, Outcome(READY, counts=False))
    owner.close(scene.now)
    row = scene.store.get(task)
    assert (row.status, row.attempts, row.workers) == (READY, 0, ())


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_task_that_may_run_once_only_has_failed_when_its_process_died(scene, interrupted):
    task = scene.enqueue(redeliver=False)
    owner = scene.own()
    [claim] = scene.claim(owner)
    assert owner.begin(claim, scene.now)
    if interrupted:
        owner.interrupt()
    scene.kill(owner)
    assert scene.claim(scene.own()) == []
    row = scene.store.get(task)
    assert (row.status, row.attempts, len(row.errors)) == (FAILED, 1, 1)


def test_a_task_that_may_run_once_only_runs_if_it_had_not_begun(scene):
    task = scene.enqueue(redeliver=False)
    owner = scene.own()
    scene.claim(owner)
    scene.kill(owner)
    assert ids(scene.claim(scene.own())) == [task]


def test_closing_gives_back_what_has_not_begun(scene):
    first, second = scene.enqueue(), scene.enqueue()
    owner = scene.own()
    claims = scene.claim(owner)
    assert owner.begin(claims[0], scene.now)
    owner.finish(claims[0], Outcome(SUCCESSFUL), scene.now)
    owner.close(scene.now)
    assert (scene.status(first), scene.status(second)) == (SUCCESSFUL, READY)
    assert scene.store.get(second).attempts == 0
    assert ids(scene.claim(scene.own())) == [second]


def test_a_turn_gives_back_what_the_last_one_claimed_in_vain(scene):
    tasks = [scene.enqueue() for _ in range(3)]
    owner = scene.own()
    scene.claim(owner)
    assert ids(scene.claim(owner)) == tasks
    assert [scene.store.get(task).attempts for task in tasks] == [1, 1, 1]


def test_another_attempt_waits_for_its_time(scene):
    task = scene.enqueue()
    owner = scene.own()
    scene.run(owner, Outcome(READY, error=b'{"type": "E"}', run_after=scene.now + 10 * SECOND))
    batch = scene.turn(owner)
    assert (batch.claims, batch.next_at) == ((), scene.now + 10 * SECOND)
    row = scene.store.get(task)
    assert (row.status, row.attempts, row.errors, row.finished_at) == (READY, 1, (b'{"type": "E"}',), 0)
    scene.pass_time(10)
    [claim] = scene.claim(owner, worker="b")
    assert (claim.attempt, claim.first_attempt_at) == (2, scene.now - 10 * SECOND)
    assert scene.store.get(task).workers == ("mule1 (1)", "b")


def test_an_older_claim_changes_nothing(scene):
    """Neither its begin nor its end, after another process has got the task."""
    task = scene.enqueue()
    old = scene.own()
    [stale] = scene.claim(old)
    assert old.begin(stale, scene.now)
    scene.kill(old)
    new = scene.own()
    [claim] = scene.claim(new)
    assert new.begin(claim, scene.now)
    old.finish(stale, Outcome(FAILED, error=b'{"type": "late"}'), scene.now)
    new.finish(claim, Outcome(SUCCESSFUL, b"1"), scene.now)
    scene.turn(new)
    old.finish(stale, Outcome(FAILED, error=b'{"type": "late"}'), scene.now)
    row = scene.store.get(task)
    assert (row.status, row.value) == (SUCCESSFUL, b"1")
    assert not any(b"late" in error for error in row.errors)


def test_a_limit_holds_over_all_processes(scene):
    tasks = [scene.enqueue() for _ in range(4)]
    limits = {NAME: TaskLimits(limit=2)}
    owners = [scene.own() for _ in range(3)]
    claims = [scene.claim(owner, limits=limits) for owner in owners]
    assert [ids(batch) for batch in claims] == [[tasks[0]], [tasks[1]], []]
    assert owners[0].begin(claims[0][0], scene.now)
    owners[0].finish(claims[0][0], Outcome(FAILED), scene.now)
    assert ids(scene.claim(owners[0], limits=limits)) == [tasks[2]]
    scene.kill(owners[1])
    assert ids(scene.claim(owners[2], limits=limits)) == [tasks[1]]


def test_a_limited_function_does_not_block_others(scene):
    limits = {NAME: TaskLimits(limit=1)}
    blocked = [scene.enqueue(priority=9) for _ in range(40)]
    others = [scene.enqueue(OTHER) for _ in range(3)]
    assert ids(scene.claim(scene.own(), known=(OTHER,), limits=limits)) == [blocked[0], *others]


def test_a_limit_holds_over_targets(scene):
    scene.enqueue(target="mule")
    scene.enqueue(target="spooler")
    limits = {NAME: TaskLimits(limit=1)}
    assert len(scene.claim(scene.own(), limits=limits)) == 1
    batch = scene.turn(scene.own(), target="spooler", limits=limits)
    assert batch.claims == ()
    assert batch.next_at is not None


def test_a_rate_holds_over_all_processes(scene):
    for _ in range(25):
        scene.enqueue()
    limits = {NAME: TaskLimits(rate=Rate(10, 60 * SECOND))}
    assert len(scene.run(scene.own(), limits=limits, limit=6)) == 6
    scene.pass_time(20)
    owner = scene.own()
    assert len(scene.run(owner, limits=limits)) == 4
    batch = scene.turn(owner, limits=limits)
    assert (batch.claims, batch.more, batch.next_at) == ((), False, scene.now + 40 * SECOND)
    scene.pass_time(39)
    assert scene.claim(owner, limits=limits) == []
    scene.pass_time(1)
    assert len(scene.run(owner, limits=limits)) == 6
    assert scene.turn(owner, limits=limits).next_at == scene.now + 20 * SECOND


def test_a_rate_does_not_count_what_was_given_back(scene):
    for _ in range(3):
        scene.enqueue()
    limits = {NAME: TaskLimits(rate=Rate(2, 60 * SECOND))}
    owner = scene.own()
    assert len(scene.claim(owner, limits=limits)) == 2
    owner.close(scene.now)
    assert len(scene.claim(scene.own(), limits=limits)) == 2


def test_a_rate_does_not_block_others(scene):
    limits = {NAME: TaskLimits(rate=Rate(10, 60 * SECOND)), OTHER: TaskLimits()}
    for _ in range(100):
        scene.enqueue(priority=5)
    for _ in range(100):
        scene.enqueue(OTHER)
    owner, ran = scene.own(), []
    while batch := scene.run(owner, limits=limits):
        ran += batch
    assert len(ran) == 110


def test_a_clock_that_was_set_back_does_not_stop_a_rate(scene):
    for _ in range(4):
        scene.enqueue()
    limits = {NAME: TaskLimits(rate=Rate(2, 60 * SECOND))}
    owner = scene.own()
    assert len(scene.run(owner, limits=limits)) == 2
    scene.pass_time(-10 * 365 * 86400)
    assert scene.turn(owner, limits=limits).next_at <= scene.now + 60 * SECOND
    scene.pass_time(60)
    assert len(scene.run(owner, limits=limits)) == 2


def test_a_clock_that_was_set_back_does_not_stop_another_attempt(scene):
    """The pause before it counts from the moment of the change."""
    scene.enqueue()
    owner = scene.own()
    scene.run(owner, Outcome(READY, run_after=scene.now + 10 * SECOND))
    scene.turn(owner)
    scene.pass_time(-3600)
    assert scene.turn(owner).next_at == scene.now + 10 * SECOND
    scene.pass_time(10)
    assert len(scene.claim(owner)) == 1


def test_nothing_runs_twice_when_the_clock_jumps(scene):
    tasks = [scene.enqueue(run_after=scene.now + i * 36 * SECOND) for i in range(100)]
    owner, ran = scene.own(), []
    for jump in (0, 1800, -3600, 60, 10 * 365 * 86400, -5, 5):
        scene.pass_time(jump)
        while batch := scene.run(owner):
            ran += batch
    assert sorted(ran) == sorted(tasks)


def test_cancel_stops_what_waits(scene):
    due, later = scene.enqueue(), scene.enqueue(run_after=scene.now + SECOND)
    assert scene.store.cancel(due, scene.now)
    assert scene.store.cancel(later, scene.now)
    assert not scene.store.cancel(due, scene.now)
    scene.pass_time(2)
    assert scene.claim(scene.own()) == []
    assert (scene.status(due), scene.status(later)) == (CANCELLED, CANCELLED)


def test_cancel_stops_what_was_claimed_and_has_not_begun(scene):
    first, second = scene.enqueue(), scene.enqueue()
    owner = scene.own()
    claims = scene.claim(owner)
    assert scene.store.cancel(second, scene.now)
    assert owner.begin(claims[0], scene.now)
    assert not scene.store.cancel(first, scene.now)
    owner.finish(claims[0], Outcome(SUCCESSFUL), scene.now)
    assert not owner.begin(claims[1], scene.now)
    assert scene.claim(owner) == []
    rows = [scene.store.get(task) for task in (first, second)]
    assert [(row.status, row.attempts) for row in rows] == [(SUCCESSFUL, 1), (CANCELLED, 0)]


def test_cancel_stops_another_attempt(scene):
    task = scene.enqueue()
    owner = scene.own()
    scene.run(owner, Outcome(READY, run_after=scene.now + SECOND))
    scene.turn(owner)
    assert scene.store.cancel(task, scene.now)
    scene.pass_time(2)
    assert scene.claim(owner) == []


def test_cancel_of_an_unknown_task_is_false(scene):
    assert not scene.store.cancel("1-00", scene.now)
    assert not scene.store.cancel("no id at all", scene.now)


@pytest.mark.parametrize("end", [_succeed, _fail, _die, _cancel, _expire])
def test_retry_gives_attempts_and_lives_again(scene, end):
    task = scene.enqueue(expires=scene.now + 50 * SECOND)
    end(scene, scene.own(), task)
    assert scene.store.retry([task], scene.now) == {}
    row = scene.store.get(task)
    assert (row.status, row.attempts, row.deaths, row.value, row.finished_at) == (READY, 0, 0, None, 0)
    [claim] = scene.claim(scene.own())
    assert (claim.id, claim.attempt) == (task, 1)


def test_retry_does_what_it_can_and_names_the_rest(scene):
    failed = [scene.enqueue(unique=key) for key in ("k", *map(str, range(10)))]
    scene.run(scene.own(), Outcome(FAILED))
    holder = scene.enqueue(unique="k")
    refused = scene.store.retry([*failed, holder, "0-0"], scene.now)
    assert refused == {
        failed[0]: f"key 'k' is held by {holder}",
        holder: "it is READY, and has not finished",
        "0-0": "there is no such task",
    }
    assert sorted(ids(scene.claim(scene.own()))) == sorted([holder, *failed[1:]])


def test_a_paused_function_or_target_waits(scene):
    by_name, by_target = scene.enqueue(), scene.enqueue(OTHER, target="spooler", run_after=scene.now + SECOND)
    scene.store.pause(NAME, "root", scene.now)
    scene.store.pause("spooler", "admin", scene.now)
    scene.store.pause("spooler", "another", scene.now + 1)
    scene.pass_time(5)
    owner = scene.own()
    batch = scene.turn(owner, known=(NAME, OTHER))
    assert (batch.claims, batch.more, batch.next_at) == ((), False, None)
    assert scene.claim(owner, target="spooler", known=(NAME, OTHER)) == []
    assert [(paused.name, paused.by) for paused in scene.store.paused()] == [(NAME, "root"), ("spooler", "admin")]
    assert scene.store.next_times(scene.now) == {}
    assert scene.store.resume(NAME)
    assert not scene.store.resume(NAME)
    assert scene.store.resume("spooler")
    assert ids(scene.claim(owner, known=(NAME, OTHER))) == [by_name]
    assert ids(scene.claim(scene.own(), target="spooler", known=(NAME, OTHER))) == [by_target]


def test_progress_is_kept_while_the_attempt_runs(scene):
    task = scene.enqueue()
    owner = scene.own()
    assert not scene.store.report_progress(task, 1, b"[0]", scene.now)
    [claim] = scene.claim(owner)
    assert not scene.store.report_progress(task, 1, b"[0]", scene.now)
    assert owner.begin(claim, scene.now)
    assert scene.store.report_progress(task, 1, b"[1]", scene.now)
    assert not scene.store.report_progress(task, 2, b"[2]", scene.now)
    assert scene.store.get(task).progress == b"[1]"
    owner.finish(claim, Outcome(SUCCESSFUL, b"5"), scene.now)
    assert not scene.store.report_progress(task, 1, b"[3]", scene.now)
    row = scene.store.get(task)
    assert (row.progress, row.value, row.status) == (b"[1]", b"5", SUCCESSFUL)


def test_progress_of_an_older_attempt_is_gone(scene):
    task = scene.enqueue()
    owner = scene.own()
    [claim] = scene.claim(owner)
    assert owner.begin(claim, scene.now)
    scene.store.report_progress(task, 1, b"[1]", scene.now)
    owner.finish(claim, Outcome(READY), scene.now)
    [claim] = scene.claim(owner)
    assert scene.store.get(task).progress is None


def test_find_returns_the_newest_first_and_goes_on(scene):
    tasks = [scene.enqueue(name, target) for name in (NAME, OTHER) for target in ("mule", "spooler")]
    assert ids(scene.store.find()) == tasks[::-1]
    assert ids(scene.store.find(limit=2)) == [tasks[3], tasks[2]]
    assert ids(scene.store.find(limit=2, after=tasks[2])) == [tasks[1], tasks[0]]
    assert ids(scene.store.find(after="7-unknown")) == []
    assert ids(scene.store.find(name=OTHER)) == [tasks[3], tasks[2]]
    assert ids(scene.store.find(target="mule", name=NAME)) == [tasks[0]]
    scene.claim(scene.own())
    assert ids(scene.store.find(statuses=[RUNNING])) == [tasks[0]]
    assert ids(scene.store.find(statuses=[READY, RUNNING])) == tasks[::-1]


def test_find_knows_what_has_just_ended(scene):
    """As `get` does: the process has not gone on to its next task yet."""
    tasks = [scene.enqueue() for _ in range(5)]
    owner = scene.own()
    for claim in scene.claim(owner, limit=3)[:2]:
        assert owner.begin(claim, scene.now)
        owner.finish(claim, Outcome(SUCCESSFUL, b"1"), scene.now)
    assert ids(scene.store.find(statuses=[SUCCESSFUL])) == [tasks[1], tasks[0]]
    assert ids(scene.store.find(statuses=[SUCCESSFUL], limit=1)) == [tasks[1]]
    assert ids(scene.store.find(statuses=[SUCCESSFUL], limit=1, after=tasks[1])) == [tasks[0]]
    assert ids(scene.store.find(statuses=[RUNNING])) == [tasks[2]]
    assert ids(scene.store.find(statuses=[READY])) == [tasks[4], tasks[3]]
    assert [row.status for row in scene.store.find()] == [READY, READY, RUNNING, SUCCESSFUL, SUCCESSFUL]


def test_counts_are_by_function_target_and_status(scene):
    scene.enqueue()
    scene.enqueue(run_after=scene.now + SECOND)
    scene.enqueue(OTHER, "spooler")
    owner = scene.own()
    scene.run(owner)
    scene.turn(owner)
    scene.enqueue()
    scene.claim(owner)
    assert dict(scene.store.counts(scene.now)) == {
        (NAME, "mule", READY): 1,
        (NAME, "mule", RUNNING): 1,
        (NAME, "mule", SUCCESSFUL): 1,
        (OTHER, "spooler", READY): 1,
    }


def test_next_times_are_by_target(scene):
    assert scene.store.next_times(scene.now) == {}
    scene.enqueue(run_after=scene.now + 9 * SECOND)
    scene.enqueue(OTHER, run_after=scene.now + 3 * SECOND)
    scene.enqueue(target="spooler")
    assert scene.store.next_times(scene.now) == {"mule": scene.now + 3 * SECOND, "spooler": scene.now}
    owner = scene.own()
    scene.claim(owner, target="spooler")
    assert "spooler" not in scene.store.next_times(scene.now)
    scene.kill(owner)
    assert scene.store.next_times(scene.now)["spooler"] == scene.now


def test_old_tasks_are_removed_in_bites_whatever_their_end(scene):
    owner = scene.own()
    tasks = [scene.enqueue(result_ttl=10 * SECOND) for _ in range(6)]
    [first, *others] = scene.claim(owner)
    owner.begin(first, scene.now)
    owner.finish(first, Outcome(FAILED), scene.now)
    for claim in others[:3]:
        owner.begin(claim, scene.now)
        owner.finish(claim, Outcome(SUCCESSFUL), scene.now)
    owner.close(scene.now)
    scene.store.cancel(tasks[4], scene.now)
    assert scene.store.next_removal() == scene.now + 10 * SECOND
    scene.pass_time(9.9)
    assert scene.store.purge(scene.now) == 0
    scene.pass_time(0.1)
    assert scene.store.purge(scene.now, limit=3) == 3
    assert scene.store.purge(scene.now, limit=3) == 2
    assert scene.store.purge(scene.now, limit=3) == 0
    assert [scene.store.get(task) is None for task in tasks] == [True] * 5 + [False]
    assert scene.store.next_removal() is None


def test_each_task_has_a_time_of_its_own_to_its_removal(scene):
    tasks = [scene.enqueue(result_ttl=ttl * SECOND) for ttl in (10**6, 1, 86_400)]
    owner = scene.own()
    scene.run(owner)
    scene.turn(owner)
    left = []
    for seconds in (1, 86_399, 10**6 - 86_400):
        assert scene.store.next_removal() == scene.now + seconds * SECOND
        scene.pass_time(seconds)
        assert scene.store.purge(scene.now) == 1
        left.append([task for task in tasks if scene.store.get(task)])
    assert left == [[tasks[0], tasks[2]], [tasks[0]], []]


def test_what_ended_in_a_wrong_future_is_removed_in_time(scene):
    """The clock was ten years ahead, then it was set right."""
    scene.pass_time(10 * 365 * 86400)
    task = scene.enqueue(result_ttl=5 * SECOND)
    owner = scene.own()
    scene.run(owner)
    scene.turn(owner)
    scene.pass_time(-10 * 365 * 86400)
    scene.turn(owner)
    assert scene.store.purge(scene.now) == 0
    scene.pass_time(5)
    assert scene.store.purge(scene.now) == 1
    assert scene.store.get(task) is None


def test_a_tick_is_stored_once(scene):
    """Also after its task has ended, until that is removed."""
    task = scene.enqueue(tick="nightly@7", result_ttl=SECOND)
    stored = scene.store.enqueue([NewTask(NAME, "mule", tick=tick) for tick in ("nightly@7", "a", "a")], scene.now)
    assert [(item.id == task, item.is_new) for item in stored] == [(True, False), (False, True), (False, False)]
    owner = scene.own()
    scene.run(owner)
    scene.turn(owner)
    assert scene.enqueue(OTHER, tick="nightly@7") == task
    scene.pass_time(2)
    assert scene.store.purge(scene.now) == 1
    assert scene.enqueue(tick="nightly@7") != task


def test_a_slow_function_ends_its_batch(scene):
    tasks = [scene.enqueue(name) for name in (OTHER, NAME, NAME, OTHER)]
    owner = scene.own()
    batch = owner.turn(replace(scene.request(known=(NAME, OTHER)), slow=frozenset({NAME})))
    assert (ids(batch.claims), batch.more) == (tasks[:2], True)


def test_a_turn_without_claims_writes_outcomes_and_looks(scene):
    task = scene.enqueue()
    owner = scene.own()
    scene.run(owner)
    scene.enqueue()
    batch = scene.turn(owner, limit=0)
    assert (batch.claims, batch.more) == ((), True)
    assert ids(scene.store.find(statuses=[SUCCESSFUL])) == [task]


def test_an_id_is_never_used_again(scene):
    """Not even after its task was removed."""
    seen = set()
    for _ in range(5):
        task = scene.enqueue(result_ttl=SECOND)
        assert task not in seen
        seen.add(task)
        owner = scene.own()
        scene.run(owner)
        scene.turn(owner)
        scene.pass_time(10)
        assert scene.store.purge(scene.now) == 1
    assert scene.store.get("1-0000000000000000") is None


def test_waiting_returns_the_finished_task(scene):
    task = scene.enqueue()
    owner = scene.own()

    def work():
        time.sleep(0.1)
        scene.run(owner, Outcome(SUCCESSFUL, b"9"))

    thread = threading.Thread(target=work)
    thread.start()
    started = time.monotonic()
    row = scene.store.when_finished(task, 10)
    thread.join()
    assert (row.status, row.value) == (SUCCESSFUL, b"9")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("end", [_fail, _die, _cancel, _expire])
def test_waiting_hears_of_every_end(scene, end):
    task = scene.enqueue(expires=scene.now + 50 * SECOND)
    thread = threading.Timer(0.1, end, (scene, scene.own(), task))
    thread.start()
    row = scene.store.when_finished(task, 10)
    thread.join()
    assert row.status.is_finished


def test_waiting_ends_with_its_time(scene):
    task = scene.enqueue()
    started = time.monotonic()
    assert scene.store.when_finished(task, 0.1).status is READY
    assert scene.store.when_finished(task, 0).status is READY
    assert 0.09 < time.monotonic() - started < 3
    assert scene.store.when_finished("1-unknown", None) is None


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"run_after": 2**63}, "run_after"),
        ({"expires": -(2**63) - 1}, "expires"),
        ({"priority": 2**64}, "priority"),
        ({"unique": "\ud800"}, "unique"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(scene, options, name):
    with pytest.raises(ValueError, match=name):
        scene.store.enqueue([NewTask(NAME, "mule"), NewTask(NAME, "mule", **options)], scene.now)
    assert scene.store.find() == []
    assert scene.enqueue() != ""


def test_largest_numbers_are_kept(scene):
    task = scene.enqueue(run_after=2**63 - 1, expires=2**63 - 1, priority=-(2**63))
    row = scene.store.get(task)
    assert (row.run_after, row.expires, row.priority) == (2**63 - 1, 2**63 - 1, -(2**63))
    assert scene.turn(scene.own()).next_at == 2**63 - 1


def test_many_tasks_get_ids_in_order(scene):
    stored = scene.store.enqueue([NewTask(NAME, "mule", bytes([i])) for i in range(100)], scene.now)
    owner, ran = scene.own(), []
    while claims := scene.claim(owner):
        for claim in claims:
            owner.begin(claim, scene.now)
            owner.finish(claim, Outcome(SUCCESSFUL), scene.now)
        ran += [(claim.id, claim.arguments) for claim in claims]
    assert ran == [(item.id, bytes([i])) for i, item in enumerate(stored)]
    assert scene.store.enqueue([], scene.now) == []


def test_a_store_has_no_faults(scene):
    scene.enqueue()
    assert scene.store.check() == []


def test_the_functions_that_were_noted_last_are_kept(scene):
    """Each process notes those of its application. A new version has others."""
    assert scene.store.functions() is None
    scene.store.note_functions({NAME: "mule", "shop:old": "farm_x"})
    assert scene.store.functions() == {NAME: "mule", "shop:old": "farm_x"}
    scene.store.note_functions({NAME: "spooler"})
    assert scene.store.functions() == {NAME: "spooler"}


def test_a_turn_names_what_a_limit_or_a_rate_holds_back(scene):
    """Of its target, and only functions with due tasks. `held_back` knows the limits from the note."""
    limits = {NAME: TaskLimits(limit=1), OTHER: TaskLimits(rate=Rate(2, 60 * SECOND)), "shop:idle": TaskLimits(limit=1)}
    scene.store.note_functions(dict.fromkeys(limits, "mule"), limits)
    for name in (NAME, NAME, OTHER, OTHER, OTHER):
        scene.enqueue(name)
    scene.enqueue("shop:idle", run_after=scene.now + SECOND)
    assert (scene.store.held_back(scene.now), scene.turn(scene.own(), limits=limits).held) == ({}, {})
    assert scene.turn(scene.own(), limits=limits).held == {NAME: "limit", OTHER: "rate"}
    assert scene.turn(scene.own(), limits=limits, target="spooler").held == {}
    assert scene.store.held_back(scene.now) == {NAME: "limit", OTHER: "rate"}
    scene.pass_time(61)
    assert scene.store.held_back(scene.now) == {NAME: "limit"}
    scene.store.note_functions({NAME: "mule"})
    assert scene.store.held_back(scene.now) == {}


def test_a_turn_counts_what_has_expired(scene):
    for name in (NAME, NAME, OTHER):
        scene.enqueue(name, expires=scene.now + SECOND)
    scene.enqueue(target="spooler", expires=scene.now + SECOND)
    scene.pass_time(2)
    owner = scene.own()
    assert scene.turn(owner).expired == {NAME: 2, OTHER: 1}
    assert scene.turn(owner).expired == {}


def test_a_turn_names_the_other_targets_that_have_tasks(scene):
    """Due, deferred and paused ones, but no finished ones."""
    scene.enqueue()
    scene.enqueue(target="spooler")
    scene.enqueue(target="mule2", run_after=scene.now + SECOND)
    scene.enqueue("shop:paused", target="farm_x")
    scene.store.pause("farm_x", "test", scene.now)
    scene.store.cancel(scene.enqueue(target="mule9"), scene.now)
    assert scene.turn(scene.own()).others == {"spooler", "mule2", "farm_x"}


def ran(scene, owner, seconds, outcome=None, **options):
    """Claim what there is, and run each task for so long."""
    for claim in scene.claim(owner, **options):
        assert owner.begin(claim, scene.now)
        scene.pass_time(seconds)
        owner.finish(claim, outcome or Outcome(SUCCESSFUL, b"null"), scene.now)


def test_attempts_are_timed_by_function(scene):
    """From the moment at which they could begin: when they were stored, or when they were due."""
    scene.enqueue()
    scene.enqueue(OTHER, run_after=scene.now + 50 * SECOND)
    owner = scene.own()
    scene.pass_time(10)
    ran(scene, owner, 3, known=(NAME, OTHER))
    scene.pass_time(38)
    ran(scene, owner, 0.004, Outcome(FAILED), known=(NAME, OTHER))
    assert scene.claim(owner, known=(NAME, OTHER)) == []
    first, second = scene.store.timings()[NAME], scene.store.timings()[OTHER]
    assert (first.waited.rows(), first.waited.total) == (((16.777216, 1),), 10)
    assert (first.ran.rows(), first.ran.total, first.outcomes) == (((4.194304, 1),), 3, {SUCCESSFUL: 1})
    assert (second.waited.rows(), second.waited.total) == (((1.048576, 1),), 1)
    assert (second.ran.rows(), second.ran.total, second.outcomes) == (((0.004096, 1),), 0.004, {FAILED: 1})


def test_a_further_attempt_waits_since_the_end_of_its_pause(scene):
    """Not since the task was stored. An attempt that somebody asked for, or after a killed process, is left out."""
    task = scene.enqueue()
    owner = scene.own()
    ran(scene, owner, 1, Outcome(READY, error=b'{"type":"E","traceback":""}', run_after=scene.now + 11 * SECOND))
    scene.pass_time(12)
    ran(scene, owner, 1, Outcome(FAILED))
    scene.pass_time(1000)
    assert scene.store.retry([task], scene.now) == {}
    scene.pass_time(1000)
    ran(scene, owner, 1)
    scene.claim(owner)
    timings = scene.store.timings()[NAME]
    assert (timings.waited.count, timings.waited.total, timings.ran.total) == (2, 2, 3)
    assert timings.outcomes == {READY: 1, FAILED: 1, SUCCESSFUL: 1}


def test_an_attempt_after_a_killed_process_does_not_say_how_long_it_waited(scene):
    scene.enqueue()
    owner = scene.own()
    [claim] = scene.claim(owner)
    owner.begin(claim, scene.now)
    scene.pass_time(100)
    scene.kill(owner)
    other = scene.own()
    ran(scene, other, 1)
    scene.claim(other)
    timings = scene.store.timings()[NAME]
    assert (timings.waited.count, timings.ran.total, timings.outcomes) == (0, 1, {SUCCESSFUL: 1})


def test_an_interrupted_attempt_is_not_timed(scene):
    scene.enqueue()
    owner = scene.own()
    ran(scene, owner, 1, Outcome(READY, counts=False))
    owner.close(scene.now)
    assert scene.store.timings() == {}


def test_timings_of_all_processes_add_up(scene):
    """Also those of a process that has ended, however it ended, if it had nothing to run for a moment."""
    for count in (3, 4):
        owner = scene.own()
        for _ in range(count):
            scene.enqueue()
        ran(scene, owner, 0.01)
        assert scene.claim(owner) == []
        scene.kill(owner)
    last = scene.own()
    scene.enqueue()
    ran(scene, last, 0.01)
    last.close(scene.now)
    timings = scene.store.timings()[NAME]
    assert (timings.ran.count, timings.outcomes) == (8, {SUCCESSFUL: 8})
    assert timings.ran.total == pytest.approx(0.08)


def test_a_clock_that_was_set_back_makes_no_negative_times(scene):
    scene.enqueue()
    owner = scene.own()
    scene.pass_time(-500)
    ran(scene, owner, -500)
    scene.claim(owner)
    timings = scene.store.timings()[NAME]
    assert (timings.waited.rows(), timings.ran.rows()) == (((1e-6, 1),), ((1e-6, 1),))
    assert (timings.waited.total, timings.ran.total) == (0, 0)


def test_timings_of_functions_that_no_longer_run_are_removed(scene):
    """30 days after their last attempt."""
    scene.enqueue(result_ttl=SECOND)
    owner = scene.own()
    ran(scene, owner, 1)
    scene.claim(owner)
    scene.pass_time(29 * 86_400)
    scene.enqueue(OTHER)
    ran(scene, owner, 1, known=(NAME, OTHER))
    scene.claim(owner)
    scene.store.purge(scene.now)
    assert set(scene.store.timings()) == {NAME, OTHER}
    scene.pass_time(2 * 86_400)
    scene.store.purge(scene.now)
    assert set(scene.store.timings()) == {OTHER}
