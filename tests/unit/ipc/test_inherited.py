"""The state that processes get from the master, as text and with descriptors, and how other versions are refused."""

import contextlib
import json
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.layout import IncompatibleServer
from heliograph.exceptions import ConfigError, ServerBusy
from heliograph.ipc import inherited as module
from heliograph.ipc.inherited import (
    INHERITED_ENV,
    PROTOCOL_VERSION,
    InheritedState,
    ProcessSettings,
    queue_descriptors,
    report_to_master,
)
from heliograph.ipc.pipes import server_queues
from heliograph.models import FarmSpec, Topology

SERVER = Topology(workers=2, mules=2, farms=(FarmSpec("crunchers", (1, 2)),), spoolers=1)
SETTINGS = ProcessSettings(SERVER, "shop.tasks", lazy=True, max_signals=7, time_limit=2.5)
PIPES = tuple((number, number + 1) for number in range(100, 100 + 2 * len(server_queues(SERVER)), 2))
DESCRIPTORS = {"memory": 3, "reports": 4, **queue_descriptors(SERVER, PIPES)}
STATE = InheritedState(generation=5, master=4711, descriptors=DESCRIPTORS, settings=SETTINGS)

farms = st.lists(
    st.builds(FarmSpec, st.text("abc", min_size=1), st.lists(st.integers(1, 9)).map(tuple)), max_size=3
).map(tuple)
topologies = st.builds(Topology, st.integers(0, 9), st.integers(0, 9), farms, st.integers(0, 3))


@given(topology=topologies, app=st.text(), lazy=st.booleans(), limit=st.floats(0, 1e6), numbers=st.integers(0, 1000))
def test_the_state_survives_its_text(topology, app, lazy, limit, numbers):
    """Settings, numbers and descriptors, with types as they were."""
    pipes = tuple((2 * i, 2 * i + 1) for i, _ in enumerate(server_queues(topology)))
    state = InheritedState(
        generation=numbers,
        master=numbers + 1,
        descriptors={"memory": 3, "reports": 4, "commands": 5, "triggers": 6, **queue_descriptors(topology, pipes)},
        settings=ProcessSettings(topology, app, lazy, numbers, limit),
    )
    again = InheritedState.from_json(state.to_json())
    assert again == state
    assert again.queues == pipes
    assert (again.memory, again.reports, again.commands, again.triggers) == (3, 4, 5, 6)


def test_descriptors_have_names():
    """Of each queue, the ends to read and to write."""
    assert queue_descriptors(SERVER, PIPES)["worker0.read"] == 100
    assert queue_descriptors(SERVER, PIPES)["spooler1.write"] == PIPES[-1][1]
    assert len(queue_descriptors(SERVER, PIPES)) == 2 * len(PIPES)


def test_passed_descriptors_keep_their_names():
    """A process that receives them has other numbers under the same names."""
    received = InheritedState.received(STATE.to_json(), [fd + 1000 for fd in STATE.descriptors.values()])
    assert received.descriptors == {name: fd + 1000 for name, fd in DESCRIPTORS.items()}
    assert received.queues == tuple((read + 1000, write + 1000) for read, write in PIPES)
    assert received.settings == SETTINGS


def changed(**facts):
    """Return the text of a state with other facts; a fact that is None is left out."""
    every = {**json.loads(STATE.to_json()), **facts}
    return json.dumps({name: fact for name, fact in every.items() if fact is not None})


def inner(name, **facts):
    """Return a part of the state with other facts; a fact that is None is left out."""
    every = {**json.loads(STATE.to_json())[name], **facts}
    return {name: {key: fact for key, fact in every.items() if fact is not None}}


MISMATCHES = {
    "not JSON": ("worker1", "inherited state that is not JSON"),
    "no object": ("[1]", "protocol None instead of 1"),
    "an older protocol": (changed(protocol=None), "protocol None instead of 1"),
    "a newer protocol": (changed(protocol=PROTOCOL_VERSION + 1), "protocol 2 instead of 1"),
    "one more field": (changed(cluster=1), "other fields of InheritedState: cluster"),
    "one field less": (changed(generation=None), "other fields of InheritedState: generation"),
    "one more setting": (changed(**inner("settings", threads=2)), "other fields of ProcessSettings: threads"),
    "one setting less": (changed(**inner("settings", lazy=None)), "other fields of ProcessSettings: lazy"),
    "no settings": (changed(settings=5), "other fields of ProcessSettings"),
    "another topology": (changed(**inner("settings", topology={"workers": 1})), "other fields of Topology"),
    "no memory": (changed(**inner("descriptors", memory=None)), "no descriptor 'memory'"),
    "no queue": (changed(**inner("descriptors", **{"mule2.read": None})), "no descriptor 'mule2.read'"),
}


@pytest.mark.parametrize("case", MISMATCHES)
def test_another_version_is_refused(case):
    """In one line that names the difference and the way out."""
    text, says = MISMATCHES[case]
    with pytest.raises(IncompatibleServer) as caught:
        InheritedState.from_json(text)
    assert says in str(caught.value)
    assert str(caught.value).endswith("restart the server, a reload is not enough")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("count", [0, len(DESCRIPTORS) - 1, len(DESCRIPTORS) + 1])
def test_another_number_of_descriptors_is_refused(count):
    """They would go to the wrong names."""
    with pytest.raises(IncompatibleServer, match=f"{count} descriptors instead of {len(DESCRIPTORS)}"):
        InheritedState.received(STATE.to_json(), list(range(count)))


def test_the_state_is_inherited_once(monkeypatch):
    """Programs that the process starts do not find it."""
    monkeypatch.setenv(INHERITED_ENV, STATE.to_json())
    assert InheritedState.inherited() == STATE
    assert INHERITED_ENV not in os.environ
    with pytest.raises(ConfigError, match=r"no heliograph master started this process\. Use `heliograph run`"):
        InheritedState.inherited()


@pytest.fixture
def reports():
    read, write = os.pipe2(os.O_NONBLOCK)
    yield read, write
    os.close(read)
    os.close(write)


def test_a_master_of_another_version_gets_a_report(monkeypatch, reports):
    """The report names its generation, so that the master gives that reload up."""
    read, write = reports
    monkeypatch.setenv(INHERITED_ENV, changed(protocol=99, future=True, descriptors={"reports": write}))
    with pytest.raises(IncompatibleServer) as caught:
        InheritedState.inherited()
    assert json.loads(os.read(read, 4096)) == {"generation": 5, "failed": str(caught.value)}


@pytest.mark.parametrize("text", ["[]", "x", "{}", '{"descriptors": 5}', changed(protocol=9, descriptors={})])
def test_a_state_without_a_report_descriptor_is_refused_all_the_same(monkeypatch, text):
    """The error is the refusal, whatever else cannot be understood."""
    monkeypatch.setenv(INHERITED_ENV, text)
    with pytest.raises(IncompatibleServer):
        InheritedState.inherited()


def test_a_report_is_one_line(reports):
    """Also if a text in it has several."""
    read, write = reports
    report_to_master(InheritedState(3, 1, {"reports": write}, SETTINGS), failed="a\nb", pid=7)
    line = os.read(read, 4096)
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"generation": 3, "failed": "a\nb", "pid": 7}


def test_a_report_that_is_too_long_is_an_error(reports):
    """A longer write would not be atomic."""
    with pytest.raises(AssertionError):
        report_to_master(InheritedState(3, 1, {"reports": reports[1]}, SETTINGS), failed="x" * module.MAX_REPORT_BYTES)


def fill(write):
    """Fill a pipe."""
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)


def test_a_report_waits_until_the_master_reads(reports):
    """A full pipe is no error of the process that reports, and no report is lost."""
    read, write = reports
    fill(write)
    reader = threading.Timer(0.05, os.read, (read, 1 << 20))
    reader.start()
    report_to_master(InheritedState(3, 1, {"reports": write}, SETTINGS), ready=True)
    reader.join()
    assert json.loads(os.read(read, 4096)) == {"generation": 3, "ready": True}


def test_a_report_that_the_master_does_not_read_in_time_is_an_error(reports):
    """`change_period` in a loop overtakes the master, for example. The error says what to do."""
    fill(reports[1])
    with pytest.raises(ServerBusy, match=r"the master has read no reports for 0.01 s. Report less often"):
        report_to_master(InheritedState(3, 1, {"reports": reports[1]}, SETTINGS), 0.01, trigger="t", period=1.0)
