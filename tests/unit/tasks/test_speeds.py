"""How many tasks a process claims at once."""

import pytest

from heliograph.tasks.speeds import MAX_BATCH, MIN_BATCH, Speeds

TURN = 0.05


@pytest.mark.parametrize(
    ("seconds", "batch"), [(0.000_01, MAX_BATCH), (0.001, 50), (0.003, MIN_BATCH), (0.0, MIN_BATCH)]
)
def test_batch_takes_one_turn(seconds, batch):
    """A batch is worth one turn, within its bounds."""
    speeds = Speeds(TURN)
    speeds.add("f", seconds)
    assert speeds.batch() == batch


def test_batch_is_small_for_the_slowest_fast_function():
    """The batch may consist of the slowest fast function only."""
    speeds = Speeds(TURN)
    speeds.add("fast", 0.000_01)
    speeds.add("medium", 0.002)
    assert speeds.batch() == 25


def test_slow_function_does_not_make_batches_of_others_smaller():
    """A task of a slow function is the last one of its batch, so it does not count."""
    speeds = Speeds(TURN)
    speeds.add("fast", 0.000_01)
    speeds.add("slow", 2.0)
    assert speeds.batch() == MAX_BATCH
    assert speeds.slow(["fast", "slow", "unknown"]) == {"slow", "unknown"}
