"""Targets: their words, queues and readers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.signals.targets import (
    MAX_TARGET_BYTES,
    all_queues,
    available,
    parse,
    queues,
    queues_read_by,
    readers_of,
)
from heliograph.exceptions import TargetError
from heliograph.models import FarmSpec, Identity, Queue, Topology

SERVER = Topology(workers=3, mules=2, farms=(FarmSpec("crunchers", (1, 2)), FarmSpec("mail", (2,))), spoolers=2)


def worker(number: int) -> Queue:
    return Queue("worker", number)


def mule(number: int) -> Queue:
    return Queue("mule", number)


MEANING = [
    ("", "worker", [worker(0)]),
    ("worker", "worker", [worker(0)]),
    ("worker0", "worker", [worker(0)]),
    ("worker1", "worker1", [worker(1)]),
    ("worker3", "worker3", [worker(3)]),
    ("workers", "workers", [worker(1), worker(2), worker(3)]),
    ("active-workers", "active-workers", [worker(1), worker(2), worker(3)]),
    ("mule", "mule", [mule(0)]),
    ("mule0", "mule", [mule(0)]),
    ("mule2", "mule2", [mule(2)]),
    ("mules", "mules", [mule(1), mule(2)]),
    ("farm1", "farm1", [Queue("farm", 1)]),
    ("farm2", "farm2", [Queue("farm", 2)]),
    ("farm_crunchers", "farm_crunchers", [Queue("farm", 1)]),
    ("farm_mail", "farm_mail", [Queue("farm", 2)]),
    ("spooler", "spooler", [Queue("spooler", 0)]),
]


@pytest.mark.parametrize(("text", "resolved", "expected"), MEANING)
def test_words_and_their_queues(text: str, resolved: str, expected: list[Queue]) -> None:
    """Every word of the vocabulary, its resolved spelling, and one copy for each queue."""
    target = parse(text, SERVER)
    assert target.text == resolved
    assert list(queues(target, SERVER)) == expected


@pytest.mark.parametrize("active", [(), (2,), (1, 3)])
def test_active_workers_are_the_running_ones(active: tuple[int, ...]) -> None:
    """No worker gets the signal if none is active."""
    target = parse("active-workers", SERVER)
    assert queues(target, SERVER, active) == tuple(worker(number) for number in active)


def test_workers_includes_inactive_ones() -> None:
    """`workers` also means a worker that is down."""
    assert len(queues(parse("workers", SERVER), SERVER, (1,))) == 3


NONSENSE = [
    *("bogus", "workerx", "WORKER", "Worker1", " worker", "worker ", "worker 1", "worker-1", "worker+1", "worker1.0"),
    *("worker01", "worker00", "mule01", "mule00", "farm01", "farm0", "farm", "farms", "farm_", "spooler1", "spoolers"),
    *("worker1\n", "worker\n", "mule\n", "farm1\n", "\nworker", "worker\0", "worker1\0", "\0"),
    *("worker\u0661", "worker\u00b9", "mule\uff11", "farm\u0967", "\ud800"),
    *("active-worker", "active-workers1", "activeworkers", "workers1", "mules1", "None", "0", "1"),
]


@pytest.mark.parametrize("text", [*NONSENSE, "farm_none", "farm_Mail", "farm_mail\n", "farm_crunchers2"])
def test_unknown_target_lists_the_available_ones(text: str) -> None:
    """The message has the word and the targets of this server."""
    with pytest.raises(TargetError) as caught:
        parse(text, SERVER)
    assert caught.value.target == text
    assert caught.value.available == available(SERVER)
    assert repr(text) in str(caught.value)
    assert "farm_crunchers, farm_mail" in str(caught.value)


@pytest.mark.parametrize("text", NONSENSE)
def test_invalid_target_is_rejected_without_a_topology(text: str) -> None:
    """The message lists the vocabulary."""
    with pytest.raises(TargetError) as caught:
        parse(text, None)
    assert {"worker", "workerN", "muleN", "farm_NAME", "spooler"} <= set(caught.value.available)


IMPOSSIBLE = [
    ("worker4", "3 workers"),
    ("worker99999999999999999999999999", "3 workers"),
    ("mule3", "2 mules"),
    ("farm3", "2 farms"),
]


@pytest.mark.parametrize(("text", "counted"), IMPOSSIBLE)
def test_number_above_the_count_is_rejected(text: str, counted: str) -> None:
    """The message has the count, however large the number is."""
    with pytest.raises(TargetError, match=counted):
        parse(text, SERVER)


@pytest.mark.parametrize("text", [text for text, _ in IMPOSSIBLE] + ["farm_none", "mule", "spooler", "mules"])
def test_possible_target_is_accepted_without_a_topology(text: str) -> None:
    """It is checked when the topology is known."""
    assert parse(text, None).text == text


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        *(("", "workers"), ("workers", "workers"), ("active-workers", "workers"), ("worker1", "workers")),
        *(("mule", "mules"), ("mules", "mules"), ("mule1", "mules"), ("farm1", "farms"), ("spooler", "spoolers")),
    ],
)
def test_missing_kind_is_rejected(text: str, missing: str) -> None:
    """A signal to `mule` on a server without mules would never run."""
    with pytest.raises(TargetError, match=f"no {missing}"):
        parse(text, Topology())


@pytest.mark.parametrize(
    ("text", "option"),
    [("mule1", "--mules N"), ("worker9", "--workers N"), ("spooler", "--spooler DIR"), ("farm_a", "--farm")],
)
def test_missing_processes_name_the_option(text: str, option: str) -> None:
    """Usually the command is wrong, not the target."""
    with pytest.raises(TargetError, match=option):
        parse(text, Topology(workers=1))


@pytest.mark.parametrize("text", ["farm_empty", "farm1", "farm_ghosts"])
def test_farm_without_mules_is_rejected(text: str) -> None:
    """Also a farm that only has missing mules."""
    server = Topology(workers=1, mules=1, farms=(FarmSpec("empty", ()), FarmSpec("ghosts", (7,))))
    with pytest.raises(TargetError, match="no mules"):
        parse(text, server)
    assert not [word for word in available(server) if word.startswith("farm")]


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600", "\ud800"])
def test_target_has_at_most_63_bytes(letter: str) -> None:
    """uWSGI stores 63 bytes."""
    size = MAX_TARGET_BYTES - len("farm_")
    longest = letter * (size // len(letter.encode(errors="surrogatepass")))
    longest += "x" * (size - len(longest.encode(errors="surrogatepass")))
    assert parse(f"farm_{longest}", None).text == f"farm_{longest}"
    with pytest.raises(TargetError, match="63 bytes"):
        parse(f"farm_{longest}x", None)


def test_many_processes_are_listed_briefly() -> None:
    """The list stays readable for a server with 64 workers."""
    assert available(Topology(workers=64, mules=2)) == (
        *("worker", "workers", "active-workers", "worker1 to worker64"),
        *("mule", "mules", "mule1", "mule2"),
    )


names = st.text(min_size=1, max_size=8)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Servers whose farms have existing mules."""
    mules = draw(st.integers(0, 4))
    numbers = st.lists(st.integers(1, mules), min_size=1, unique=True) if mules else st.nothing()
    farms = draw(st.dictionaries(names, numbers, max_size=3)) if mules else {}
    specs = tuple(FarmSpec(name, tuple(members)) for name, members in farms.items())
    return Topology(draw(st.integers(0, 5)), mules, specs, draw(st.integers(0, 3)))


likely = st.from_regex(r"(worker|mule|farm|spooler|active-)(s|workers|_)?[0-9]{0,3}\n?", fullmatch=True)
anything = st.text(st.characters(), max_size=70) | likely | names.map("farm_{}".format)


@given(text=anything, server=topologies())
def test_any_text_is_a_valid_target_or_rejected(text: str, server: Topology) -> None:
    """There is no third result, and no other exception."""
    try:
        target = parse(text, server)
    except TargetError as error:
        offered = error.available
    else:
        assert queues(target, server)
        assert set(queues(target, server)) <= set(all_queues(server))
        assert parse(target.text, server) == target
        return
    too_long = len(text.encode(errors="surrogatepass")) > MAX_TARGET_BYTES
    assert offered == (() if too_long else available(server))


@given(server=topologies())
def test_listed_targets_are_available(server: Topology) -> None:
    """Each listed word is a target, or the first and last of a range."""
    for words in available(server):
        for word in words.split(" to ") if words.startswith(("worker", "mule")) else [words]:
            if len(word.encode()) <= MAX_TARGET_BYTES:
                assert queues(parse(word, server), server)


@given(server=topologies())
def test_queues_and_readers_agree(server: Topology) -> None:
    """Every queue has readers, and `queues_read_by` agrees with `readers_of`."""
    pairs = {(queue, process) for queue in all_queues(server) for process in readers_of(queue, server)}
    assert pairs == {(queue, process) for process in server.processes() for queue in queues_read_by(process, server)}
    assert {queue for queue, _ in pairs} == set(all_queues(server))
    assert {process for _, process in pairs} == set(server.processes())


@given(server=topologies())
def test_queues_are_listed_once(server: Topology) -> None:
    """Processes share the order of `all_queues`, so each queue has one place in it."""
    assert len(set(all_queues(server))) == len(all_queues(server))


@pytest.mark.parametrize("process", [Identity("master"), Identity("webserver"), Identity("external")], ids=str)
def test_other_processes_read_no_queue(process: Identity) -> None:
    """The master, the web server and external processes read no queue."""
    assert queues_read_by(process, SERVER) == ()


def test_processes_and_queues_have_names() -> None:
    """`worker2`, `mule1`, `master`, as in logs and tests."""
    assert [str(process) for process in (*SERVER.processes()[1:4], Identity("master"))] == [
        *("worker2", "worker3", "mule1", "master")
    ]
    assert str(Queue("farm", 2)) == "farm2"
