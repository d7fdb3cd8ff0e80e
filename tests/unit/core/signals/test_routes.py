"""The table of routes: a route is read as it was written, and other entries are not touched."""

import mmap
import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.signals.routes import ROUTE_BYTES, TABLE_BYTES, Route, Routes
from heliograph._core.signals.targets import MAX_TARGET_BYTES
from heliograph.models import SIGNALS

MAX_HANDLER_BYTES = 184
"""Bytes that a route has for the name of a handler."""

numbers = st.integers(0, SIGNALS - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
targets = texts.map(lambda text: text.encode()[:MAX_TARGET_BYTES].decode(errors="ignore"))
routes = st.builds(Route, targets, texts, st.booleans(), st.booleans())


def table() -> Routes:
    return Routes(memoryview(bytearray(TABLE_BYTES)))


def test_an_empty_table_has_no_routes():
    """A table of zeros is empty."""
    assert all(table()[num] is None for num in range(SIGNALS))


@given(written=st.dictionaries(numbers, routes, max_size=20))
def test_a_route_is_read_as_it_was_written(written):
    """Target and options exactly, and the name as far as it fits. Other entries are not touched."""
    found = table()
    for num, route in written.items():
        found[num] = route
    for num in range(SIGNALS):
        route, read = written.get(num), found[num]
        assert (route is None) == (read is None)
        if route is not None and read is not None:
            assert read._replace(handler="") == route._replace(handler="")
            if len(route.handler.encode()) <= MAX_HANDLER_BYTES:
                assert read.handler == route.handler


@given(first=routes, second=routes, num=numbers)
def test_the_last_route_replaces_the_one_before(first, second, num):
    """No byte of the previous route is left."""
    once, twice = table(), table()
    twice[num] = first
    once[num] = twice[num] = second
    assert once[num] == twice[num]


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=60, max_size=300))
def test_a_long_name_is_cut(text):
    """At the end of the space, also within a character."""
    found = table()
    found[5] = Route("worker", text)
    read = found[5]
    assert read is not None
    kept = read.handler.rstrip("\N{REPLACEMENT CHARACTER}")
    assert text.startswith((kept, read.handler))
    assert len(text.encode()) <= MAX_HANDLER_BYTES or len(read.handler.encode()) >= MAX_HANDLER_BYTES - 4


@pytest.mark.parametrize("num", [0, 128, 255])
def test_the_largest_route_stays_within_its_entry(num):
    """A target of 63 bytes and a name that is too long touch no other entry and no byte after the table."""
    buffer = bytearray(TABLE_BYTES + 8)
    found = Routes(memoryview(buffer))
    target, name = "farm_" + "é" * 29, "x" * 5000
    assert len(target.encode()) == MAX_TARGET_BYTES
    found[num] = Route(target, name, redeliver=False, remote=True)
    assert found[num] == Route(target, name[:MAX_HANDLER_BYTES], redeliver=False, remote=True)
    assert not any(buffer[: num * ROUTE_BYTES])
    assert not any(buffer[(num + 1) * ROUTE_BYTES :])


@given(written=st.dictionaries(numbers, routes, max_size=5), before=st.dictionaries(numbers, routes, max_size=5))
def test_a_table_becomes_a_copy(written, before):
    """Routes from before are gone, and later writes to the other table have no effect."""
    live, staged = table(), table()
    for num, route in before.items():
        live[num] = route
    for num, route in written.items():
        staged[num] = route
    live.copy_from(staged)
    assert [live[num] for num in range(SIGNALS)] == [staged[num] for num in range(SIGNALS)]
    staged.clear()
    assert {num for num in range(SIGNALS) if live[num] is not None} == set(written)
    assert all(staged[num] is None for num in range(SIGNALS))


def test_two_processes_share_a_table():
    """A route that one of them writes is read by the other."""
    memory = memoryview(bytearray(TABLE_BYTES))
    mine, theirs = Routes(memory), Routes(memory)
    mine[7] = Route("mule1", "shop.refresh")
    assert theirs[7] == Route("mule1", "shop.refresh")


def test_a_reader_gets_a_route_as_a_whole_while_another_process_writes():
    """A reload replaces the routes while processes look them up."""
    memory = memoryview(mmap.mmap(-1, TABLE_BYTES))
    table = Routes(memory)
    short, long = Route("mule1", "a", redeliver=False), Route("farm_" + "x" * 50, "b" * 150, remote=True)
    table[7] = short
    child = os.fork()
    if not child:
        entries = bytearray(2 * TABLE_BYTES)
        for number, route in enumerate((long, short)):
            Routes(memoryview(entries)[number * TABLE_BYTES :])[7] = route
        first, second = (Routes(memoryview(entries)[start:]) for start in (0, TABLE_BYTES))
        while True:
            table.copy_from(first)
            table.copy_from(second)
    try:
        found, until = set(), time.monotonic() + 0.5
        while time.monotonic() < until or len(found) < 2:
            found |= {table[7] for _ in range(1000)}
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert found == {short, long}


def test_a_route_whose_writer_was_killed_is_written_again():
    """The next write ends what that writer had begun."""
    buffer = bytearray(TABLE_BYTES)
    table = Routes(memoryview(buffer))
    table[0] = Route("mule1", "a")
    buffer[3] |= 1
    assert table[0] == Route("mule1", "a")
    table[0] = Route("mule1", "a")
    assert not buffer[3] & 1
