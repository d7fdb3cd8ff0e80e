"""Tests of tasks run on the inline engine, with its fake clock and its store in memory."""

import pytest

from heliograph.tasks.registry import TASKS


@pytest.fixture
def no_other_tasks():
    """No tasks but those of the test, whichever modules other tests have imported."""
    before = dict(TASKS.definitions)
    TASKS.replace_all({})
    yield
    TASKS.replace_all(before)


@pytest.fixture
def engine(no_other_tasks, heliograph_engine):
    """The inline engine of this test."""
    return heliograph_engine
