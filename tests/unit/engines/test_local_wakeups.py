"""Wake-ups on the heliograph server: none is lost, whatever other processes do between two steps of a sender."""

import itertools
import json
import os
import threading
from types import SimpleNamespace

import pytest

from heliograph._core.signals.records import RECORD_BYTES, Record, decode, encode
from heliograph._core.signals.routes import Route
from heliograph.engines.local import wakeups as module
from heliograph.engines.local.wakeups import LocalWakeups
from heliograph.ipc.pipes import make_pipes, server_queues
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Identity, Queue, Topology

SERVER = Topology(workers=1, mules=2)
NUM = 255
MULES = [Identity("mule", 1), Identity("mule", 2)]


class Killed(BaseException):
    """The sender was killed here."""


class Words:
    """The words `rung`, with a call before and after each access."""

    def __init__(self, words, step):
        self.words, self.step = words, step

    def __getitem__(self, num):
        self.step("before the word is read")
        return self.words[num]

    def __setitem__(self, num, value):
        self.step("before the word is written")
        self.words[num] = value
        self.step("after the word is written")


class Server:
    """A store, two mules and their queue. Tasks are numbers."""

    def __init__(self, monkeypatch):
        self.memory = SharedMemory.create(SERVER)
        self.memory.live[NUM] = Route("mule", "tasks for mule", wakeup=True)
        self.pipes = make_pipes(SERVER)
        self.reports = os.pipe2(os.O_NONBLOCK)
        self.number = server_queues(SERVER).index(Queue("mule", 0))
        inherited = SimpleNamespace(
            settings=SimpleNamespace(topology=SERVER),
            queues=self.pipes,
            reports=self.reports[1],
            generation=1,
            master=7,
        )
        self.counted = []
        self.wakeups = LocalWakeups(inherited, self.memory, self.counted.append)
        self.started = [self.memory.counters.slots[self.memory.slot_number(mule)].started for mule in MULES]
        self.on_step = lambda _where: None
        monkeypatch.setattr(module, "write", self.write)
        monkeypatch.setattr(module, "begun_turns", self.begun_turns)
        self.memory.wakeups.rung = Words(self.memory.wakeups.rung, lambda where: self.on_step(where))  # noqa: PLW0108 - it changes
        self.reset()

    def reset(self):
        """Begin anew with empty queues. The counters go on."""
        self.stored, self.claimed, self.turns, self.on_step = 0, set(), [], lambda _where: None
        self.take_all()
        self.turns.clear()

    def close(self):
        for fd in (*itertools.chain(*self.pipes), *self.reports, self.memory.fd):
            os.close(fd)

    # the steps of a sender

    def write(self, fd, data):
        self.on_step("before the record is written")
        os.write(fd, data)
        self.on_step("after the record is written")

    def begun_turns(self, started, num):
        self.on_step("before the turns are counted")
        return sum(counters[num] for counters in started)

    def enqueue(self, on_step=lambda _where: None):
        """Store a task, and wake a mule. `on_step` is called between the steps, and may raise `Killed`."""
        self.stored += 1
        before, self.on_step = self.on_step, on_step
        try:
            self.wakeups.wake("mule")
        except Killed:
            pass
        finally:
            self.on_step = before

    # the steps of a mule

    def take(self):
        """Let a mule take a record, and count the turn as begun."""
        try:
            data = os.read(self.pipes[self.number][0], RECORD_BYTES)
        except BlockingIOError:
            return False
        if decode(data).num == NUM:
            mule = len(self.turns) % 2
            self.started[mule][NUM] += 1
            self.turns.append(mule)
        return True

    def claim(self):
        """Let the oldest turn look for tasks."""
        if self.turns:
            self.turns.pop(0)
            self.claimed |= set(range(1, self.stored + 1))

    def die(self):
        """Kill the mule of the oldest turn before it looks for tasks. The master redelivers its wake-up."""
        if self.turns:
            self.turns.pop(0)
            os.write(self.pipes[self.number][1], encode(Record(NUM, self.number)))

    def take_all(self):
        while self.take():
            pass

    def lost(self):
        """Let the mules do what is left, and return the tasks that nobody has claimed."""
        while self.take() or self.turns:
            self.claim()
        return set(range(1, self.stored + 1)) - self.claimed

    def queued(self):
        count = 0
        while self.take():
            count += 1
        return count

    def fill(self):
        """Fill the queue with other signals."""
        record = encode(Record(9, self.number))
        try:
            while True:
                os.write(self.pipes[self.number][1], record)
        except BlockingIOError:
            pass

    def reported(self):
        try:
            lines = os.read(self.reports[0], 65_536).splitlines()
        except BlockingIOError:
            return []
        return [{key: value for key, value in json.loads(line).items() if key != "generation"} for line in lines]


@pytest.fixture
def server(monkeypatch):
    server = Server(monkeypatch)
    yield server
    server.close()


STEPS = [
    "before the turns are counted",
    "before the word is read",
    "before the record is written",
    "after the record is written",
    "before the word is written",
    "after the word is written",
]


def killed(where):
    def on_step(step):
        if step == where:
            raise Killed

    return on_step


ACTIONS = {
    "enqueue": lambda server: server.enqueue(),
    "enqueue, killed before the word": lambda server: server.enqueue(killed("after the record is written")),
    "enqueue, killed before the record": lambda server: server.enqueue(killed("before the record is written")),
    "take": lambda server: server.take(),
    "claim": lambda server: server.claim(),
    "die": lambda server: server.die(),
}
ORDERS = [order for length in range(4) for order in itertools.product(ACTIONS, repeat=length)]


def run(server, names):
    for name in names:
        ACTIONS[name](server)


@pytest.mark.parametrize("where", STEPS)
def test_no_wakeup_is_lost_whatever_happens_between_two_steps(server, where):
    """Every order of up to three actions of other processes, at every step of a sender, and once more after it."""
    for order in ORDERS:
        server.reset()
        happened = []

        def act(step, order=order, happened=happened):
            if step == where and not happened:
                happened.append(step)
                run(server, order)

        server.enqueue(act)
        server.enqueue()
        assert not server.lost(), order


@pytest.mark.parametrize("where", STEPS)
def test_no_wakeup_is_lost_if_a_sender_stands_still_for_long(server, where):
    """It goes on after other senders and turns. Its old word must not keep a later sender from waking."""
    for before, after in itertools.product([o for o in ORDERS if len(o) < 3], repeat=2):
        server.reset()
        run(server, before)

        def act(step, after=after):
            if step == where:
                run(server, ("enqueue", "take", "claim", *after))

        server.enqueue(act)
        server.take_all()
        while server.turns:
            server.claim()
        server.enqueue()
        assert not server.lost(), (before, after)


def test_one_wakeup_is_queued_for_many_tasks(server):
    """The others cost no write."""
    for _ in range(100):
        server.enqueue()
    assert server.queued() == 1
    assert server.counted == [NUM]


def test_a_new_wakeup_follows_as_soon_as_a_turn_has_begun(server):
    """That turn may have looked for tasks already."""
    server.enqueue()
    server.take()
    server.enqueue()
    assert server.queued() == 1


def test_the_wakeup_of_a_killed_sender_is_one_too_many(server):
    """It wrote the record, and not the word."""
    server.enqueue(killed("after the record is written"))
    server.enqueue()
    server.enqueue()
    assert server.queued() == 2


def test_a_full_queue_asks_the_master_once(server):
    """The queue is full of other signals, so nothing in it would look for the task."""
    server.fill()
    server.enqueue()
    server.enqueue()
    assert server.reported() == [{"wake": NUM}]
    server.started[0][NUM] += 1
    server.enqueue()
    assert server.reported() == [{"wake": NUM}]


def test_a_busy_master_is_waited_for(server):
    """Its pipe has space as soon as it reads."""
    server.fill()
    line = b" " * 4095 + b"\n"
    try:
        while True:
            os.write(server.reports[1], line)
    except BlockingIOError:
        pass
    reader = threading.Timer(0.05, lambda: os.read(server.reports[0], 1 << 20))
    reader.start()
    server.enqueue()
    reader.join()
    assert server.reported()[-1:] == [{"wake": NUM}]


def test_the_master_is_told_the_earliest_time_only(server):
    """A later one is known to be later."""
    for when in (2000.5, 2001.0, 1999.25):
        server.wakeups.wake_at("mule", when)
        server.memory.wakeups.deadlines[NUM] = min(server.memory.wakeups.deadlines[NUM] or 1 << 62, int(when * 1e6))
    assert server.reported() == [{"wake": NUM, "at": 2_000_500_000}, {"wake": NUM, "at": 1_999_250_000}]


def test_the_time_of_a_wakeup_that_was_sent_is_told_again(server):
    """The master has cleared its word."""
    server.wakeups.wake_at("mule", 2000.5)
    server.memory.wakeups.deadlines[NUM] = 0
    server.wakeups.wake_at("mule", 2000.5)
    assert len(server.reported()) == 2


def test_nobody_is_woken_while_the_server_stops(server):
    """Else its queues would never be empty. The tasks stay in the store."""
    server.memory.wakeups.close_if(stopping=True)
    server.enqueue()
    assert server.queued() == 0


def test_for_an_unknown_target_the_master_wakes_all(server):
    """The processes of one of them look after its tasks."""
    server.memory.live[NUM - 1] = Route("spooler", "tasks for spooler", wakeup=True)
    server.wakeups.wake("mule9")
    server.wakeups.wake_at("farm_gone", 12.5)
    assert [(report["wake"], report["at"]) for report in server.reported()] == [
        (NUM - 1, 0),
        (NUM, 0),
        (NUM - 1, 12_500_000),
        (NUM, 12_500_000),
    ]


def test_a_target_that_comes_with_a_reload_is_found(server):
    """What is unknown is not remembered."""
    server.wakeups.wake("mule2")
    server.memory.live[254] = Route("mule2", "tasks for mule2", wakeup=True)
    server.wakeups.wake("mule2")
    place = server_queues(SERVER).index(Queue("mule", 2))
    assert decode(os.read(server.pipes[place][0], 64)) == Record(254, place)
