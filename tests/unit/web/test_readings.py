"""Readings are shared, and there are none while nobody looks."""

import asyncio

import pytest

from heliograph.exceptions import ConfigError
from heliograph.web import readings as module
from heliograph.web.readings import Readings

pytestmark = pytest.mark.asyncio


@pytest.fixture
def readings(reader):
    found = Readings(reader)
    yield found
    found.close()


async def test_requests_at_the_same_time_share_one_reading(reader, readings):
    """A hundred clients cost the master as much as one."""
    found = await asyncio.gather(*(readings.current() for _ in range(100)))
    assert reader.asked == 1
    assert {id(reading) for reading in found} == {id(found[0])}
    assert found[0].state is reader.answer


async def test_nobody_who_looks_costs_nothing(reader, readings, monkeypatch):
    """Watchers have one reading each interval for all of them, and the last one who leaves ends that."""
    monkeypatch.setattr(module, "INTERVAL", 0.02)
    async with readings.watched(), readings.watched():
        while reader.asked < 3:
            assert await readings.next(10)
    asked = reader.asked
    await asyncio.sleep(0.2)
    assert reader.asked <= asked + 1  # one may have begun


async def test_a_watcher_learns_that_nothing_came(readings, monkeypatch):
    """So it can show that it is alive."""
    assert not await readings.next(0.01)


async def test_a_server_that_does_not_answer_is_a_reading(reader, readings, monkeypatch):
    """It has the error. The next reading tries again."""
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    state, reader.answer = reader.answer, ConfigError("no server answers at x.")
    found = await readings.current()
    assert (found.state, found.error) == (None, "no server answers at x.")
    reader.answer = state
    assert (await readings.current()).state is state


async def test_an_error_in_drawing_does_not_end_the_readings(reader, monkeypatch, caplog):
    """It is logged."""
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    failures = iter([RuntimeError("first"), RuntimeError("second")])

    def draw(_):
        for error in failures:
            raise error

    readings = Readings(reader, draw)
    async with readings.watched():
        while reader.asked < 4:
            assert await readings.next(10)
    assert "Cannot draw the status page" in caplog.text
    readings.close()


async def test_the_reader_is_closed(reader):
    """In its thread, since it may hold a store that belongs to it."""
    readings = Readings(reader)
    await readings.current()
    readings.close()
    for _ in range(1000):
        if reader.is_closed:
            break
        await asyncio.sleep(0.01)
    assert reader.is_closed


async def test_an_error_in_reading_is_shown_and_logged_once(reader, readings, monkeypatch, caplog):
    """Not each second."""
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    reader.answer = RuntimeError("unknown layout")
    for _ in range(3):
        found = await readings.current()
    assert found.state is None
    assert "Its state cannot be read: RuntimeError('unknown layout')" in found.error
    assert caplog.text.count("Cannot read the state of the server") == 1
