"""Facts that the page reads besides the read model."""

import asyncio
from dataclasses import replace

import pytest

from heliograph import insights
from heliograph.exceptions import ConfigError
from heliograph.insights import ProcessStacks
from heliograph.ipc.control_client import RequestFailed
from heliograph.web import reader as module
from heliograph.web.reader import MemoryReader, StackReader


@pytest.fixture
def read(monkeypatch):
    """The processes whose memory was read."""
    found = []
    monkeypatch.setattr(module, "proportional_memory", lambda pid: found.append(pid) or pid * 1000)
    return found


def server_of(states, *pids):
    processes = tuple(states.process(f"mule{n}", pid=pid, memory=None) for n, pid in enumerate(pids, 1))
    return states.server(processes=processes)


def test_memory_is_read_after_a_reading(states, read):
    """A request does not wait for it, unless what is known is old."""
    now = [0.0]
    memory = MemoryReader(lambda: now[0])
    state = server_of(states, 1, 2, None)
    assert [process.memory for process in memory.complete(state).processes] == [1000, 2000, None]
    memory.refresh(state)
    assert read == [1, 2]
    now[0] = 15.0
    memory.complete(state)
    assert read == [1, 2]
    memory.refresh(state)
    assert read == [1, 2, 1, 2]
    now[0] = 100.0
    memory.complete(state)
    assert len(read) == 6


def test_a_new_process_gets_its_memory_soon(states, read):
    """And one that is gone is forgotten."""
    memory = MemoryReader(lambda: 0.0)
    memory.complete(server_of(states, 1, 2))
    state = server_of(states, 1, 3)
    assert [process.memory for process in memory.complete(state).processes] == [1000, None]
    memory.refresh(state)
    assert [process.memory for process in memory.complete(state).processes] == [1000, 3000]
    assert memory.complete(replace(state, processes=())).processes == ()


@pytest.mark.asyncio
async def test_a_stack_is_read_once_for_all_who_ask(monkeypatch, tmp_path):
    """It stops the process for a moment."""
    asked = []

    def read_stacks(path, processes, timeout):
        asked.append((path, *processes))
        return [ProcessStacks("mule1", 7, None, (), "mule1 did not answer.")]

    monkeypatch.setattr(insights, "read_stacks", read_stacks)
    stacks = StackReader(tmp_path)
    found = await asyncio.gather(*(stacks.read("mule1") for _ in range(20)))
    assert set(found) == {"mule1 (pid 7)\n  mule1 did not answer."}
    assert asked == [(tmp_path, "mule1")]
    await stacks.read("mule2")
    assert len(asked) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "says"),
    [
        (RequestFailed("unknown_verb", "unknown verb"), "Not available: this server cannot show stacks."),
        (RequestFailed("bad_argument", "no such process: 'x'."), "Not available: no such process: 'x'."),
        (ConfigError("no server answers."), "Not available: no server answers."),
    ],
)
async def test_a_stack_that_cannot_be_read_has_a_reason(monkeypatch, tmp_path, error, says):
    """For a person."""

    def fail(*_):
        raise error

    monkeypatch.setattr(insights, "read_stacks", fail)
    with pytest.raises(LookupError) as caught:
        await StackReader(tmp_path).read("x")
    assert str(caught.value) == says
