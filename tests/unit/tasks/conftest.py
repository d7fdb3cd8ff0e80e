"""Tests of tasks run on the inline engine, with its fake clock and its store in memory."""

import pytest


@pytest.fixture
def engine(heliograph_engine):
    """The inline engine of this test."""
    return heliograph_engine
