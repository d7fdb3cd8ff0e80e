"""Sizes and durations as they stand in options."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.sizes import duration_option, parse_duration, parse_size, size_option


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (1, "1"), (1024, "1K"), (200 << 20, "200M"), (1536 << 20, "1536M"), (2 << 30, "2G")]
)
def test_a_size_as_an_option_has_it(size, text):
    """In the largest unit of which it has a whole number."""
    assert size_option(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (1.5, "1.5s"), (90, "90s"), (1800, "30m"), (43200, "12h"), (604800.0, "7d")]
)
def test_a_duration_as_an_option_has_it(seconds, text):
    """In the largest unit of which it has a whole number."""
    assert duration_option(seconds) == text


@given(st.integers(0, 1 << 60))
def test_a_size_can_be_read_again(size):
    """The text means the same number."""
    assert parse_size(size_option(size)) == size


@given(st.integers(0, 10**6) | st.sampled_from([0.5, 1.25]))
def test_a_duration_can_be_read_again(seconds):
    """The text means the same number."""
    assert parse_duration(duration_option(seconds)) == seconds
