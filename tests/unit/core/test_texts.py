"""Durations, sizes and numbers as short texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.texts import printable
from heliograph._core.units import duration, latency, short_number, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.4, "59s"),
        (60, "1m00s"),
        (754, "12m"),
        (7500, "2h05m"),
        (90_000, "1d01h"),
        (864_000, "10d"),
        (-3, "0s"),
    ],
)
def test_a_duration_has_two_units_while_its_number_is_small(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0us"),
        (0.0000853, "85us"),
        (0.00125, "1.25ms"),
        (0.34, "340ms"),
        (2.5, "2.5s"),
        (59.9, "59.9s"),
        (200, "3m20s"),
    ],
)
def test_a_latency_has_three_digits(seconds, text):
    assert latency(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (0.42, "0.4"),
        (3.0, "3"),
        (97.4, "97"),
        (9999, "9999"),
        (12_345, "12.3k"),
        (123_456, "123k"),
        (4_200_000, "4.2M"),
    ],
)
def test_a_number_is_short(count, text):
    assert short_number(count) == text


@given(st.floats(0, 1e15))
def test_no_number_is_longer_than_five_characters(count):
    assert len(short_number(count)) <= 5


def test_sizes_have_binary_units():
    assert [size(count) for count in (812, 12.4 * 2**20, 3 * 2**30)] == ["812 B", "12.4 MiB", "3.0 GiB"]


def test_control_characters_are_shown():
    assert printable("a\x1b[2Jb\nc\td") == "a\\x1b[2Jb\nc\td"
