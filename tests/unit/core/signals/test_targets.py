"""Rows T1-T8, as far as they are pure: what a target means."""

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
def test_a_word_means_these_queues(text: str, resolved: str, expected: list[Queue]) -> None:
    """T1-T7: every word of the vocabulary, its resolved spelling, and one copy for each queue."""
    target = parse(text, SERVER)
    assert target.text == resolved
    assert list(queues(target, SERVER)) == expected


@pytest.mark.parametrize("active", [(), (2,), (1, 3)])
def test_active_workers_are_those_that_run(active: tuple[int, ...]) -> None:
    """T4: only the workers that are named as active get it; none at all if none is."""
    target = parse("active-workers", SERVER)
    assert queues(target, SERVER, active) == tuple(worker(number) for number in active)


def test_all_workers_get_it_whoever_is_active() -> None:
    """T3: `workers` is each worker, also one that is down."""
    assert len(queues(parse("workers", SERVER), SERVER, (1,))) == 3


NONSENSE = [
    *("bogus", "workerx", "WORKER", "Worker1", " worker", "worker ", "worker 1", "worker-1", "worker+1", "worker1.0"),
    *("worker01", "worker00", "mule01", "mule00", "farm01", "farm0", "farm", "farms", "farm_", "spooler1", "spoolers"),
    *("worker1\n", "worker\n", "mule\n", "farm1\n", "\nworker", "worker\0", "worker1\0", "\0"),
    *("worker\u0661", "worker\u00b9", "mule\uff11", "farm\u0967", "\ud800"),
    *("active-worker", "active-workers1", "activeworkers", "workers1", "mules1", "None", "0", "1"),
]


@pytest.mark.parametrize("text", [*NONSENSE, "farm_none", "farm_Mail", "farm_mail\n", "farm_crunchers2"])
def test_anything_else_is_refused_with_what_there_is(text: str) -> None:
    """T8: the error names the word and lists the targets of this server."""
    with pytest.raises(TargetError) as caught:
        parse(text, SERVER)
    assert caught.value.target == text
    assert caught.value.available == available(SERVER)
    assert repr(text) in str(caught.value)
    assert "farm_crunchers, farm_mail" in str(caught.value)


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_refused_before_the_server_is_known(text: str) -> None:
    """T8: what can never be a target needs no topology to be refused; the error lists the vocabulary."""
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
def test_a_number_above_the_count_is_refused(text: str, counted: str) -> None:
    """T2: N above the count is an error that says the count, however large N is."""
    with pytest.raises(TargetError, match=counted):
        parse(text, SERVER)


@pytest.mark.parametrize("text", [text for text, _ in IMPOSSIBLE] + ["farm_none", "mule", "spooler", "mules"])
def test_what_the_server_might_have_waits_for_the_server(text: str) -> None:
    """T8: where the topology is not known yet, a possible target is taken as it is."""
    assert parse(text, None).text == text


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        *(("", "workers"), ("workers", "workers"), ("active-workers", "workers"), ("worker1", "workers")),
        *(("mule", "mules"), ("mules", "mules"), ("mule1", "mules"), ("farm1", "farms"), ("spooler", "spoolers")),
    ],
)
def test_what_a_server_has_none_of_is_no_target(text: str, missing: str) -> None:
    """T8: `mule` on a server without mules would wait for ever."""
    with pytest.raises(TargetError, match=f"no {missing}"):
        parse(text, Topology())


@pytest.mark.parametrize(
    ("text", "option"),
    [("mule1", "--mules N"), ("worker9", "--workers N"), ("spooler", "--spooler DIR"), ("farm_a", "--farm")],
)
def test_what_is_missing_is_named_with_the_option_that_adds_it(text: str, option: str) -> None:
    """Mostly it is the command that is wrong, not the target."""
    with pytest.raises(TargetError, match=option):
        parse(text, Topology(workers=1))


@pytest.mark.parametrize("text", ["farm_empty", "farm1", "farm_ghosts"])
def test_a_farm_that_nobody_works_on_is_no_target(text: str) -> None:
    """T8: a farm without mules, or only with mules that there are not, would never run anything."""
    server = Topology(workers=1, mules=1, farms=(FarmSpec("empty", ()), FarmSpec("ghosts", (7,))))
    with pytest.raises(TargetError, match="no mules"):
        parse(text, server)
    assert not [word for word in available(server) if word.startswith("farm")]


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600", "\ud800"])
def test_63_bytes_are_the_limit(letter: str) -> None:
    """T8: uWSGI keeps 63 bytes; they are counted as bytes, and one more is refused."""
    room = MAX_TARGET_BYTES - len("farm_")
    longest = letter * (room // len(letter.encode(errors="surrogatepass")))
    longest += "x" * (room - len(longest.encode(errors="surrogatepass")))
    assert parse(f"farm_{longest}", None).text == f"farm_{longest}"
    with pytest.raises(TargetError, match="63 bytes"):
        parse(f"farm_{longest}x", None)


def test_many_processes_are_listed_briefly() -> None:
    """The list of an error stays readable on a server of 64 workers."""
    assert available(Topology(workers=64, mules=2)) == (
        *("worker", "workers", "active-workers", "worker1 to worker64"),
        *("mule", "mules", "mule1", "mule2"),
    )


names = st.text(min_size=1, max_size=8)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Any server whose farms have mules that it has."""
    mules = draw(st.integers(0, 4))
    numbers = st.lists(st.integers(1, mules), min_size=1, unique=True) if mules else st.nothing()
    farms = draw(st.dictionaries(names, numbers, max_size=3)) if mules else {}
    specs = tuple(FarmSpec(name, tuple(members)) for name, members in farms.items())
    return Topology(draw(st.integers(0, 5)), mules, specs, draw(st.integers(0, 3)))


likely = st.from_regex(r"(worker|mule|farm|spooler|active-)(s|workers|_)?[0-9]{0,3}\n?", fullmatch=True)
anything = st.text(st.characters(), max_size=70) | likely | names.map("farm_{}".format)


@given(text=anything, server=topologies())
def test_any_text_is_a_target_that_exists_or_an_error(text: str, server: Topology) -> None:
    """T8: there is no third way, and no other exception."""
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
def test_what_is_listed_as_available_is(server: Topology) -> None:
    """Each word that an error offers is a target, or the two ends of a range of them."""
    for words in available(server):
        for word in words.split(" to ") if words.startswith(("worker", "mule")) else [words]:
            if len(word.encode()) <= MAX_TARGET_BYTES:
                assert queues(parse(word, server), server)


@given(server=topologies())
def test_queues_and_readers_agree(server: Topology) -> None:
    """Every queue has a reader, and who reads a queue is who is told to read it."""
    pairs = {(queue, who) for queue in all_queues(server) for who in readers_of(queue, server)}
    assert pairs == {(queue, who) for who in server.processes() for queue in queues_read_by(who, server)}
    assert {queue for queue, _ in pairs} == set(all_queues(server))
    assert {who for _, who in pairs} == set(server.processes())


@given(server=topologies())
def test_queues_are_listed_once(server: Topology) -> None:
    """`all_queues` is an order that processes share: no queue has two places in it."""
    assert len(set(all_queues(server))) == len(all_queues(server))


@pytest.mark.parametrize("role", ["master", "outside"])
def test_nothing_arrives_outside_of_the_processes(role: str) -> None:
    """The master and strangers read no queue."""
    who = {"master": Identity("master"), "outside": Identity("outside")}[role]
    assert queues_read_by(who, SERVER) == ()


def test_processes_and_queues_have_names_for_people() -> None:
    """`worker2`, `mule1`, `master`: as they are written in logs and tests."""
    assert [str(who) for who in (*SERVER.processes()[1:4], Identity("master"))] == [
        *("worker2", "worker3", "mule1", "master")
    ]
    assert str(Queue("farm", 2)) == "farm2"
