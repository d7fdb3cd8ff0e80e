"""Messages to mules and farms, and offloaded calls: on the inline engine, and between processes."""

import os
import subprocess
import sys
import threading
import time

import pytest

from heliograph import engines
from heliograph._core.tasks.values import TaskStatus
from heliograph.engines.detached import DetachedEngine
from heliograph.exceptions import InvalidTask, SignalTypeError, TargetError, TaskArgumentError
from heliograph.models import MAX_WAIT, Identity
from heliograph.runtime import messages
from heliograph.runtime.mules import Farm, Mule, mule_offload

CALLS: list[object] = []


@pytest.fixture
def engine(heliograph_engine):
    """The inline engine: 2 mules, and the farm `crunchers` of both."""
    CALLS.clear()
    return heliograph_engine


def count(number: int = 1) -> None:
    CALLS.append((number, str(engines.current().identity)))


@pytest.mark.parametrize(
    ("where", "runs_in"),
    [(None, "mule1"), (2, "mule2"), (Mule(2), "mule2"), ("crunchers", "mule"), (Farm("crunchers"), "mule")],
)
def test_an_offloaded_call_runs_in_its_mule(engine, where, runs_in):
    assert mule_offload(where)(count)(5) is True
    (call,) = CALLS
    assert (call[0], call[1].startswith(runs_in)) == (5, True)


def test_methods_that_offload(engine):
    Mule(2).offload()(count)(number=3)
    Farm("crunchers").offload()(count)()
    assert CALLS[0] == (3, "mule2")
    assert len(CALLS) == 2


@pytest.mark.parametrize(
    ("decorator", "runs_in"), [(mule_offload, "mule1"), (Mule(2).offload, "mule2"), (Farm("crunchers").offload, "mule")]
)
def test_the_decorators_work_without_parentheses(engine, decorator, runs_in):
    assert decorator(count)(5) is True
    (call,) = CALLS
    assert (call[0], call[1].startswith(runs_in)) == (5, True)


def test_offloaded_arguments_are_checked(engine):
    def take(value) -> None:
        CALLS.append(value)

    with pytest.raises(TaskArgumentError, match="With allow_pickle=True"):
        Mule(1).offload()(take)({1})
    with pytest.raises(TaskArgumentError, match="take 2000009 bytes"):
        Mule(1).offload()(take)("x" * 2_000_000)
    Mule(1).offload(allow_pickle=True)(take)({1})
    assert [{1}] == CALLS


@pytest.mark.parametrize(("where", "error"), [(3, TargetError), ("nobody", TargetError), (2.5, SignalTypeError)])
def test_a_mule_that_the_server_does_not_have_is_refused(engine, where, error):
    with pytest.raises(error):
        mule_offload(where)(count)


def test_an_offloaded_function_must_be_one(engine):
    with pytest.raises(InvalidTask, match="generator"):
        mule_offload()(lambda: (yield))


def test_messages_come_in_order(engine):
    assert Mule(2).send("one") is True
    Mule(2).send("zwölf".encode())
    Mule(1).send("other")
    with engine.as_process("mule2"):
        assert [Mule.get_message(timeout=1) for _ in range(2)] == ["one", "zwölf"]
        assert Mule.get_message(timeout=0) == ""
        assert Mule.get_message(signals=False, farms=True, buffer_size=64, timeout=0.01) == ""


def test_messages_of_a_farm(engine):
    Farm("crunchers").send("hello")
    Mule(1).send("mine")
    with engine.as_process("mule1"):
        assert Mule.get_message(timeout=0) == "mine"
        assert Mule.get_message(timeout=0) == ""
        assert Farm.get_message() == "hello"
        Farm("crunchers").send("again")
        assert Mule.get_message(farms=True, timeout=0) == "again"


@pytest.mark.parametrize("timeout", [2**31 / 1000, 1e12, 1e300, float("inf")])
def test_a_timeout_may_be_longer_than_the_kernel_takes(engine, monkeypatch, timeout):
    """The wait is cut, and looked at again."""
    waits = []

    def wait(_reader, seconds):
        waits.append(seconds)
        if len(waits) == 2:
            Mule(1).send("hello")

    monkeypatch.setattr(messages._Reader, "wait", wait)
    with engine.as_process("mule1"):
        assert Mule.get_message(timeout=timeout) == "hello"
    assert max(waits) <= MAX_WAIT


def test_only_mules_get_messages(engine):
    for get in Mule.get_message, Farm.get_message:
        with engine.as_process("worker1"), pytest.raises(ValueError, match="only a mule gets messages"):
            get()


@pytest.mark.parametrize(
    ("message", "error", "text"),
    [
        (5, TypeError, "invalid message: 5. Pass text or bytes."),
        (b"\xff", TaskArgumentError, "no text in UTF-8"),
        ("\ud800", TaskArgumentError, "no text in UTF-8"),
        ("x" * (1 << 20), TaskArgumentError, "the message is too large: 1048585 bytes as JSON"),
    ],
)
def test_messages_that_cannot_be_kept_are_refused(engine, message, error, text):
    with pytest.raises(error, match=text):
        Mule(1).send(message)
    assert engine.enqueued == ()


def test_messages_to_nobody_are_refused(engine):
    for receiver in Mule(3), Farm("nobody"):
        with pytest.raises(TargetError):
            receiver.send("hello")


def test_a_message_that_does_not_fit_stays(engine):
    Mule(1).send("12345ö")
    with engine.as_process("mule1"):
        for _ in range(2):
            with pytest.raises(TaskArgumentError, match="7 bytes, of 6 at most"):
                Mule.get_message(buffer_size=6, timeout=0)
        assert engine.enqueued[0].status is TaskStatus.READY
        assert Mule.get_message(buffer_size=7, timeout=0) == "12345ö"
    assert engine.enqueued[0].status is TaskStatus.SUCCESSFUL


class MuleEngine(DetachedEngine):
    """This process as mule 1 of a server, with the store on disk."""

    identity = Identity("mule", 1)


@pytest.fixture
def mule(tmp_path, monkeypatch):
    """Act as a mule, and return the directory of the store."""
    monkeypatch.setenv("HELIOGRAPH_TASK_SYNC", "process")
    directory = tmp_path / "a long name of a directory, so that the address of a socket in it is too long" / "spool"
    directory.parent.mkdir()
    with engines.using(MuleEngine(directory=directory)):
        yield directory
        engines.current().task_store().close()


def send_from_another_process(directory, program):
    code = (
        "from pathlib import Path\nfrom heliograph import engines\n"
        "from heliograph.engines.detached import DetachedEngine\n"
        f"engines.active = DetachedEngine(directory=Path({str(directory)!r}))\n"
        f"from heliograph.runtime.mules import Farm, Mule\n{program}"
    )
    return subprocess.Popen([sys.executable, "-c", code])


def test_a_message_of_another_process_ends_the_wait(mule):
    Mule(1).send("first")
    assert Mule.get_message() == "first"
    cpu = time.process_time()
    sender = send_from_another_process(mule, "import time; time.sleep(0.5); Mule(2).send('no'); Mule(1).send('yes')")
    assert Mule.get_message(timeout=20) == "yes"
    assert time.process_time() - cpu < 0.2, "it polled"
    assert sender.wait() == 0
    assert engines.current().task_store().find()[0].workers == (f"mule1 ({os.getpid()})",)


def test_each_message_is_taken_once(mule):
    """By several threads of a mule."""
    taken: list[str] = []

    def read():
        while (message := Mule.get_message(timeout=10)) != "end":
            taken.append(message)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    numbers = [str(number) for number in range(60)]
    for number in numbers:
        Mule(1).send(number)
    for _ in threads:
        Mule(1).send("end")
    for thread in threads:
        thread.join(20)
    assert sorted(taken, key=int) == numbers


def test_the_mailbox_of_a_killed_reader_is_removed(mule):
    assert Mule.get_message(timeout=0) == ""
    (own,) = (path for path in mule.iterdir() if path.name.startswith("mail-mule1-"))
    program = (
        "from heliograph.models import Identity\nDetachedEngine.identity = Identity('mule', 1)\n"
        "Mule.get_message(timeout=0)\nimport os; os.kill(os.getpid(), 9)"
    )
    assert send_from_another_process(mule, program).wait() == -9
    mailboxes = {path for path in mule.iterdir() if path.name.startswith("mail-")}
    assert len(mailboxes) == 2
    Mule(1).send("hello")
    assert {path for path in mule.iterdir() if path.name.startswith("mail-")} == {own}
    assert Mule.get_message(timeout=0) == "hello"
