"""Types of options: values as text, and values that a program passes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from heliograph.models import FarmSpec
from heliograph.settings.addresses import Address
from heliograph.settings.option_types import (
    Choice,
    Duration,
    Farm,
    Flag,
    Integer,
    ListenAddress,
    Seconds,
    SignalNumbers,
    Size,
    Text,
    WorkerCount,
    WorkerRange,
)
from heliograph.settings.path_types import Directory

NO_SIZES = ("", "M", "-200M", "200X", "200M 3", "1e9", "half", "200%", "inf")
NO_DURATIONS = ("", "h", "-12h", "12x", "1h30m", "1e9", "soon", "inf")
CHOICE = Choice(("red", "blue"))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Integer(), "0", 0),
        (Integer(1), "12", 12),
        (WorkerCount(), "0", 0),
        (WorkerCount(), "4", 4),
        (WorkerCount(), "2..16", WorkerRange(2, 16)),
        (WorkerCount(), "3..3", 3),
        (Seconds(), "0.5", 0.5),
        (Seconds(), "0", 0.0),
        (Size(), "0", 0),
        (Size(), "2000000", 2_000_000),
        (Size(), "200M", 200 << 20),
        (Size(), "1.5 GiB", 3 << 29),
        (Size(), "2048k", 2 << 20),
        (Size(), "1tb", 1 << 40),
        (Duration(), "0", 0.0),
        (Duration(), "90", 90.0),
        (Duration(), "1.5 H", 5400.0),
        (Duration(), "30m", 1800.0),
        (Duration(), "7d", 604800.0),
        (Flag(), "1", True),
        (Flag(), "Off", False),
        (Text(), "shop", "shop"),
        (CHOICE, "blue", "blue"),
        (SignalNumbers(), "17,18", frozenset({17, 18})),
        (Farm(), "a.x-y=2,1", FarmSpec("a.x-y", (2, 1))),
        (ListenAddress(), "127.0.0.1:0", Address("127.0.0.1", 0)),
    ],
)
def test_a_text_is_read(kind, text, value):
    """As it stands on the command line or in a variable."""
    assert kind.from_text(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (Integer(), "many", "not a number. Use 0 or more"),
        (Integer(), "1.5", "not a number"),
        (Integer(1), "0", "too small. Use 1 or more"),
        (Integer(), "-1", "too small"),
        (WorkerCount(), "many", "not a number. Use 0 or more"),
        (WorkerCount(), "2..", "Use N or MIN..MAX, for example 2..16"),
        (WorkerCount(), "..16", "Use N or MIN..MAX, for example 2..16"),
        (WorkerCount(), "2..4..6", "Use N or MIN..MAX, for example 2..16"),
        (WorkerCount(), "0..4", "MIN is too small. Use 1 or more"),
        (WorkerCount(), "5..4", "MIN is greater than MAX"),
        (Seconds(), "soon", "not a number. Use seconds"),
        (Seconds(), "-1", "not a time"),
        (Seconds(), "nan", "not a time"),
        (Seconds(), "inf", "not a time"),
        *((Size(), text, "it is not a size. Use a number of bytes, or K, M or G as in 200M") for text in NO_SIZES),
        (Size(), "1000", "it is too small. Use 1M or more"),
        (Size(), "0.5M", "it is too small. Use 1M or more"),
        *((Duration(), text, "it is not a duration. Use seconds, or s, m, h or d as in 12h") for text in NO_DURATIONS),
        (Duration(), "0.5", "it is too small. Use 1s or more"),
        (Flag(), "maybe", "Use 1 or 0"),
        (Text(), "", "not a text"),
        (CHOICE, "green", "Use red or blue"),
        (SignalNumbers(), "256", "0 to 255"),
        (SignalNumbers(), "x", "17,18"),
        (SignalNumbers(), "", "17,18"),
        (ListenAddress(), "8000", "HOST:PORT"),
        (ListenAddress(), "no/such/x.sock", "no directory"),
        (Farm(), "a", "NAME=1,2"),
        (Farm(), "a=", "NAME=1,2"),
        (Farm(), "=1", "NAME=1,2"),
        (Farm(), "a=1,", "NAME=1,2"),
        (Farm(), "a=x", "NAME=1,2"),
        (Farm(), "a:1", "NAME=1,2"),
        (Farm(), "a b=1", "NAME=1,2"),
        (Farm(), "a=-1", "NAME=1,2"),
        (Farm(), "x" * 60 + "=1", "longer than 63 bytes"),
    ],
)
def test_other_texts_are_refused_with_what_to_use(kind, text, says):
    """The message says what is wrong and what to use."""
    with pytest.raises(ValueError, match=says):
        kind.from_text(text)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (Integer(), 3, 3),
        (WorkerCount(), 3, 3),
        (WorkerCount(), "2..16", WorkerRange(2, 16)),
        (WorkerCount(), (2, 16), WorkerRange(2, 16)),
        (WorkerCount(), [2, 2], 2),
        (Seconds(), 2, 2.0),
        (Size(), 2 << 20, 2 << 20),
        (Size(), "2M", 2 << 20),
        (Duration(), 90, 90.0),
        (Duration(), "12h", 43200.0),
        (Flag(), 1, True),
        (SignalNumbers(), range(2), frozenset({0, 1})),
        (Farm(), {"b": [2, 1], "a": (3,)}, (FarmSpec("b", (2, 1)), FarmSpec("a", (3,)))),
        (ListenAddress(), Address("127.0.0.1", 0), Address("127.0.0.1", 0)),
        (Directory(), "/tmp", Path("/tmp")),
    ],
)
def test_a_program_passes_values(kind, given, value):
    """The value in the settings has one type."""
    assert kind.from_value(given) == value


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Integer(), "3"),
        (Integer(), True),
        (Integer(), 1.0),
        (WorkerCount(), "3"),
        (WorkerCount(), (1, 2, 3)),
        (WorkerCount(), ("1", 2)),
        (WorkerCount(), (2, 1)),
        (Seconds(), "3"),
        (Seconds(), True),
        (Size(), True),
        (Size(), 2e6),
        (Size(), -1),
        (Size(), None),
        (Duration(), True),
        (Duration(), -1),
        (Duration(), math.inf),
        (Duration(), math.nan),
        (Text(), 3),
        (CHOICE, None),
        (SignalNumbers(), [True]),
        (SignalNumbers(), ["17"]),
        (Farm(), {"a b\0" * 20: [1]}),
    ],
)
def test_values_of_another_type_are_refused(kind, given):
    """As a ValueError or TypeError, which `serve()` turns into a ConfigError."""
    with pytest.raises((ValueError, TypeError)):
        kind.from_value(given)


def test_a_directory_exists_or_its_parent_does(tmp_path):
    """The check does not create it."""
    assert Directory().from_text(str(tmp_path)) == tmp_path
    assert Directory().from_text(str(tmp_path / "spool")) == tmp_path / "spool"
    assert not (tmp_path / "spool").exists()


def test_a_directory_without_parent_is_refused_with_the_command_that_creates_it(tmp_path):
    """A mistyped path creates no tree of directories."""
    with pytest.raises(ValueError, match=f"mkdir -p {tmp_path}/no/spool"):
        Directory().from_text(str(tmp_path / "no" / "spool"))


def test_a_file_is_not_a_directory(tmp_path):
    """It stays."""
    (tmp_path / "spool").touch()
    with pytest.raises(ValueError, match="not a directory"):
        Directory().from_text(str(tmp_path / "spool"))
