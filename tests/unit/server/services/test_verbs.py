"""The verbs of the control protocol, over a real socket: what a client gets for what it asks."""

import errno
import gc
import mmap
import os
import socket
from pathlib import Path

import pytest

from heliograph.ipc.control import MAX_ANSWER_BYTES, Request, encode_request, parse_answer, take_frame
from heliograph.ipc.inherited import InheritedState, ProcessSettings, queue_descriptors, topology_from_json
from heliograph.ipc.pipes import server_queues
from heliograph.ipc.request_server import MAX_HELD
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import FarmSpec, Topology
from heliograph.server.services.changes import Changes, Status
from heliograph.server.services.control import ControlServer, Refused
from heliograph.server.services.verbs import DEFAULT_RUNS, MAX_REASON, MAX_RUNS, Operations, Verbs

TOPOLOGY = Topology(workers=2, mules=2, farms=(FarmSpec("crew", (1, 2)),), spoolers=1)
FACTS = {"name": "shop", "app": "tasks", "pid": 5, "queued": 3, "triggers": [{"name": "five"}]}


class Server:
    """A server with a real memory and a scripted state."""

    def __init__(self, loop, directory):
        self.loop, self.path = loop, directory / "sock"
        self.memory = SharedMemory.create(TOPOLOGY)
        self.fds = [os.dup(0) for _ in range(1 + 2 * len(server_queues(TOPOLOGY)))]
        self.status = Status(1, 1, 1, False, True, False, 0, "", {"worker1": 10}, reloaded=True)
        self.done = []
        self.has_pipe = True
        self.changes = Changes(lambda: self.status)
        operations = Operations(
            status=lambda: self.status,
            facts=lambda: FACTS,
            details=lambda: {**FACTS, "details": True},
            inherited=self.inherited,
            triggers=lambda: {"five": 1},
            join=self.join,
            send=self.send,
            pipe_of=self.pipe_of,
            upcoming=lambda count: [(float(at), "five", 1) for at in range(count)],
            reload=self.reload,
            stop=lambda: self.done.append("stop"),
        )
        self.control = ControlServer(self.path, loop.selector, Verbs(operations, self.changes).table())
        loop.listeners.append(self.control)
        self.peer = loop.connect(self.path)

    def inherited(self):
        return InheritedState(
            generation=1,
            master=5,
            descriptors={
                "memory": self.memory.fd,
                "reports": self.fds[0],
                **queue_descriptors(TOPOLOGY, list(zip(self.fds[1::2], self.fds[2::2], strict=True))),
            },
            settings=ProcessSettings(TOPOLOGY, "tasks"),
        )

    def join(self, pid, at_request):
        self.done.append(at_request)
        if self.status.stopping:
            raise Refused("failed", "not now")
        return 2 if pid == os.getpid() else 0

    def send(self, signal):
        if signal == "full":
            raise Refused("busy", "the queue of signal 3 is full")
        self.done.append(signal)
        return 7

    def pipe_of(self, pid):
        assert pid == os.getpid()
        self.pipe = os.pipe() if self.has_pipe else ()
        return self.pipe[1:]

    def reload(self, reason):
        self.done.append(f"reload: {reason}" if reason else "reload")
        self.status = Status(1, 2, 2, True, True, False, 0, "", {"worker1": 10}, reloaded=True)

    def ask(self, verb, **arguments):
        """All messages that come, and the descriptors."""
        self.peer.sendall(encode_request(Request(1, verb, arguments)))
        self.loop.run_ready(self.control)
        return self.received()

    def received(self):
        buffer, descriptors = bytearray(), []
        self.peer.setblocking(False)
        try:
            while True:
                chunk, found, _, _ = self.recv_fds()
                buffer += chunk
                descriptors += found
                if not chunk:
                    break
        except BlockingIOError:
            pass
        found = []
        while (frame := take_frame(buffer, MAX_ANSWER_BYTES)) is not None:
            found.append(parse_answer(frame))
        return found, descriptors

    def recv_fds(self):
        return socket.recv_fds(self.peer, 65_536, 100)

    def result(self, verb, **arguments):
        ((message,), descriptors) = self.ask(verb, **arguments)
        assert descriptors == []
        return message["result"]

    def error(self, verb, **arguments):
        ((message,), _) = self.ask(verb, **arguments)
        return message["error"]

    def close(self):
        for fd in (*self.fds, self.memory.fd):
            os.close(fd)


@pytest.fixture
def server(loop, directory):
    server = Server(loop, directory)
    yield server
    server.close()


def test_state_is_what_only_the_master_knows(server):
    assert server.result("state") == {
        **FACTS,
        "generation": 1,
        "loading": False,
        "complete": True,
        "stopping": False,
        "processes": {"worker1": 10},
        "web_server": None,
    }


def test_details_are_what_a_look_at_the_server_needs(server):
    """Another answer than `state`, whose fields are documented and stay."""
    assert server.result("details")["details"] is True


def test_attach_passes_what_a_web_worker_needs(server):
    """Memory, reports and queues, to write."""
    ((message,), descriptors) = server.ask("attach")
    assert message["result"]["triggers"] == {"five": 1}
    received = InheritedState.received(message["result"]["inherited"], descriptors)
    assert (received.settings, len(received.queues)) == (
        ProcessSettings(TOPOLOGY, "tasks"),
        len(server_queues(TOPOLOGY)),
    )
    SharedMemory(received.memory, TOPOLOGY).counters.slots[0].pid = 77
    assert server.memory.counters.slots[0].pid == 77
    for fd in descriptors:
        os.close(fd)


def test_memory_can_be_read_and_not_written(server, descriptors):
    """Its descriptor is the client's; the server keeps none of it."""
    server.result("state")
    gc.collect()  # mappings of earlier tests hold descriptors
    before = descriptors()
    server.memory.counters.slots[0].sent[7] = 42
    ((message,), (fd,)) = server.ask("memory")
    assert descriptors() == before + 1
    assert topology_from_json(message["result"]["topology"]) == TOPOLOGY
    assert message["result"]["state"] == server.result("state")
    assert SharedMemory(fd, TOPOLOGY, read_only=True).counters.total("sent", 7) == 42
    with pytest.raises(OSError) as failure:
        os.write(fd, b"x")
    assert failure.value.errno == errno.EBADF
    with pytest.raises(PermissionError):
        mmap.mmap(fd, 4096)
    os.close(fd)


def test_join_gives_a_number(server):
    """By the process id that the kernel has, with the end of a pipe for the client. A refusal is an error."""
    ((answer, *_), (end,)) = server.ask("join")
    assert answer["result"] == {"worker": 2}
    os.close(end)
    assert os.read(server.pipe[0], 1) == b""
    os.close(server.pipe[0])
    server.has_pipe = False
    assert server.ask("join")[0][0]["result"] == {"worker": 0}, "the place of a process that had the same id"
    server.status = Status(1, 1, 1, False, True, True, 0, "", {})
    assert server.error("join") == {"code": "failed", "message": "not now"}


@pytest.mark.parametrize(
    ("arguments", "count"),
    [({}, DEFAULT_RUNS), ({"count": 2}, 2), ({"count": 0}, 0), ({"count": -5}, 0), ({"count": 10**9}, MAX_RUNS)],
)
def test_schedule_is_bounded(server, arguments, count):
    """At most 1,000 runs, each with its keys."""
    runs = server.result("schedule", **arguments)["runs"]
    assert runs == [{"at": float(at), "name": "five", "signal": 1} for at in range(count)]


def test_reload_waits_for_the_new_code(server):
    """Nothing is answered until it runs everywhere."""
    assert server.ask("reload") == ([], [])
    assert server.done == ["reload"]
    server.status = Status(2, 2, 2, False, True, False, 0, "", {"worker1": 20}, reloaded=True)
    server.changes.publish()
    ((message,), _) = server.received()
    assert message["result"] == {"generation": 2}


def test_a_reload_has_a_reason_for_the_log(server):
    """It is one line of limited length, whatever the client sends."""
    server.ask("reload", reason="shop\n/tasks.py\x1b changed" + 1000 * "x")
    assert server.done == ["reload: shop/tasks.py changed" + (MAX_REASON - 21) * "x"]


def test_reload_tells_why_the_load_failed(server):
    server.ask("reload", wait=True)
    server.status = Status(1, 2, 2, False, True, False, 2, "SyntaxError", {"worker1": 10}, reloaded=True)
    server.changes.publish()
    ((message,), _) = server.received()
    assert message["error"] == {"code": "load_failed", "message": "SyntaxError"}


@pytest.mark.parametrize("verb", ["reload", "stop"])
def test_a_client_that_cannot_wait_changes_nothing(server, verb):
    """It is told to try again, which must not be a second reload or a stop at once."""
    for _ in range(MAX_HELD):
        peer = server.loop.connect(server.path)
        peer.sendall(encode_request(Request(1, "subscribe", {})))
        server.loop.run_ready(server.control)
    assert server.error(verb)["code"] == "busy"
    assert server.done == []
    assert server.result(verb, wait=False) == {"pid": os.getpid()}
    assert server.done == [verb]


def test_reload_and_stop_without_waiting(server):
    """The answer comes at once."""
    assert server.result("reload", wait=False) == {"pid": os.getpid()}
    assert server.result("stop", wait=False) == {"pid": os.getpid()}
    assert server.done == ["reload", "stop"]


def test_a_server_that_stops_refuses_a_reload(server):
    """With or without waiting; nothing is loaded."""
    server.status = Status(1, 1, 1, False, True, True, 0, "", {})
    for wait in (True, False):
        assert server.error("reload", wait=wait)["code"] == "stopping"
    assert server.done == []


def test_stop_waits_for_the_end(server):
    """The answer is the last thing that a server sends."""
    assert server.ask("stop") == ([], [])
    assert server.done == ["stop"]
    server.changes.publish()
    assert server.received() == ([], [])
    server.control.stop_listening()
    server.changes.stopped(0)
    server.control.close()
    server.loop.listeners.clear()
    ((message,), _) = server.received()
    assert message["result"] == {"exit_code": 0}


def test_subscribe_pushes_changes(server):
    """The state first."""
    state = server.result("subscribe")
    assert (state["generation"], state["processes"]) == (1, {"worker1": 10})
    server.status = Status(1, 1, 1, False, False, False, 0, "", {})
    server.changes.publish()
    ((message,), _) = server.received()
    assert message == {
        "version": 1,
        "id": 1,
        "event": {"type": "process_exited", "process": "worker1", "pid": 10},
    }


def test_each_verb_is_documented():
    """In the reference of the protocol, with its right."""
    page = (Path(__file__).parents[4] / "docs" / "reference" / "control-protocol.md").read_text()
    table = Verbs(None, None).table()
    assert table.keys() == {
        *("attach", "join", "state", "details", "memory", "schedule", "send", "subscribe", "reload", "stop"),
    }
    for name, verb in table.items():
        arguments = ", ".join(f"`{argument}`" for argument in verb.arguments) or "none"
        assert f"| `{name}` | {verb.right} | {arguments} |" in page


def test_send_answers_with_the_number(server):
    """A queue that is full is an error that the client can tell from others."""
    assert server.result("send", signal="refresh") == {"signal": 7}
    assert server.done == ["refresh"]
    assert server.error("send", signal="full")["code"] == "busy"
    assert server.error("send", signal=7)["code"] == "bad_argument"
    assert server.error("send")["code"] == "bad_argument"
