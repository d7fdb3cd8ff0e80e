"""What a process shows of the task that it runs."""

from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.stats.activity import ACTIVITY_BYTES, Activity, RunningTask


def make_activity() -> Activity:
    return Activity(memoryview(bytearray(ACTIVITY_BYTES)))


@given(name=st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1), since=st.integers(1, 2**62))
def test_a_running_task_is_read_as_it_was_shown(name: str, since: int) -> None:
    """A long name is cut to 96 bytes, also within a character."""
    activity = make_activity()
    activity.show_task(name, "0" * 36, since)
    task = activity.task()
    assert task == RunningTask(name.encode()[:96].decode(errors="ignore"), "0" * 36, since)
    activity.hide_task()
    assert activity.task() is None


def test_memory_and_task_do_not_overlap() -> None:
    """Each stays when the other one changes."""
    activity = make_activity()
    activity.ready_memory = 2**63
    activity.show_task("n" * 96, "i" * 36, 2**63)
    activity.hide_task()
    assert (activity.ready_memory, activity.task()) == (2**63, None)
    activity.clear()
    assert activity.ready_memory == 0


def test_a_task_that_is_being_written_is_not_read() -> None:
    """A process that was killed while it wrote shows none, and its successor shows its own."""
    buffer = memoryview(bytearray(ACTIVITY_BYTES))
    activity, words = Activity(buffer), buffer.cast("Q")
    activity.show_task("first", "1", 10)
    words[0] += 1
    assert activity.task() is None
    activity.show_task("second", "2", 20)
    assert activity.task() == RunningTask("second", "2", 20)


def test_a_reader_never_sees_parts_of_two_tasks() -> None:
    """It reads while another thread writes one task after the other."""
    activity = make_activity()
    done = False

    def write() -> None:
        for number in range(1, 20_000):
            activity.show_task(f"f{number}", str(number), number)
        nonlocal done
        done = True

    writer = Thread(target=write)
    writer.start()
    found = 0
    while not done:
        task = activity.task()
        if task is not None:
            found += 1
            assert task == RunningTask(f"f{task.since}", str(task.since), task.since)
    writer.join()
    assert found
    assert activity.task() == RunningTask("f19999", "19999", 19_999)
