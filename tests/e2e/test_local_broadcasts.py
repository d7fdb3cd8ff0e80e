"""Signals to several receivers of which not all can get them: the error, and the counters."""

CODE = """
from heliograph.engines.local import delivery
from heliograph.exceptions import ServerNotReady, SignalQueueFull
from heliograph.models import Identity

@Signal(5).register_handler("workers")
def all_of_them():
    record("broadcast")

@Signal(6).register_handler("worker2")
def fill():
    block_on("gate")

@Signal(7).register_handler("active-workers")
def active():
    record("active")

def fill_queue():
    try:
        while True:
            Signal(6).send(timeout=0)
    except SignalQueueFull as full:
        record(f"full{len(full.delivered)}{len(full.missing)}")

@Signal(1).register_handler("mule1")
def send_in_part():
    fill_queue()
    look, looks = delivery._await_space, []

    def see_space(*arguments):
        # The first look comes before another sender has filled the queue.
        looks.append(arguments)
        if len(looks) > 1:
            look(*arguments)

    delivery._await_space = see_space
    try:
        Signal(5).send(timeout=0.1)
    except SignalQueueFull as full:
        record("+".join(full.delivered) + "-" + "+".join(full.missing))
        Path("error").write_text(str(full))
    delivery._await_space = look

@Signal(2).register_handler("mule1")
def send_interrupted():
    real = delivery._write

    def write(fd, record):
        if interrupted:
            raise KeyboardInterrupt  # as a handler of a Unix signal may
        interrupted.append(fd)
        return real(fd, record)

    interrupted, delivery._write = [], write
    try:
        Signal(5).send()
    except KeyboardInterrupt:
        record("interrupted")
    delivery._write = real

@Signal(3).register_handler("mule1")
def send_to_active():
    slots = [engines.current()._slot_of(Identity("worker", number)) for number in (1, 2)]
    pids = [slot.pid for slot in slots]
    slots[1].pid = 0
    Signal(7).send()
    slots[0].pid = 0
    try:
        Signal(7).send()
    except ServerNotReady as error:
        Path("error").write_text(str(error))
    for slot, pid in zip(slots, pids):
        slot.pid = pid
    record("sent")
"""


def test_a_broadcast_that_only_some_receivers_get_names_them(server):
    """Another sender filled a queue in between. The signal counts as sent, and the row of queued signals is right."""
    server.start(CODE, "--workers", "2", "--mules", "1")
    server.send(1)
    server.expect(1, "worker1-worker2")
    error = (server.directory / "error").read_text()
    assert error.startswith("signal 5 was not sent to worker2, but to worker1: the queue of worker2 is full")
    assert [event.by for event in server.expect(1, "broadcast")] == ["worker1"]
    assert server.state()["rejected"] == 2
    server.await_row(5, sent=1, done=1, queued=0)
    server.release("gate")
    assert server.end() == 0
    assert server.events("full01")


def test_a_broadcast_that_an_exception_interrupts_counts_as_sent(server):
    """A handler of a Unix signal raised it after one receiver had got its copy."""
    server.start(CODE, "--workers", "2", "--mules", "1")
    server.send(2)
    server.expect(1, "interrupted")
    assert [event.by for event in server.expect(1, "broadcast")] == ["worker1"]
    server.await_row(5, sent=1, done=1, queued=0)
    assert server.end() == 0


def test_a_signal_to_active_workers_counts_for_those_that_are_active(server):
    """If none is active, the sender gets an error, and nothing is counted as sent."""
    server.start(CODE, "--workers", "2", "--mules", "1")
    server.send(3)
    server.expect(1, "sent")
    assert [event.by for event in server.expect(1, "active")] == ["worker1"]
    assert "signal 7 was not sent: no worker is active." in (server.directory / "error").read_text()
    server.await_row(7, sent=1, done=1, queued=0)
    assert server.state()["rejected"] == 1
    assert server.end() == 0
