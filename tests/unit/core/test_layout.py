"""The layout of the shared memory: where its segments are, and how code with another layout is refused."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.layout import ALIGNMENT, MAGIC, MAX_SENDER_ONLY, VERSION, IncompatibleServer, Layout, Segment
from heliograph._core.signals.names import NAMES_BYTES
from heliograph._core.signals.records import IN_FLIGHT_SLOT_BYTES
from heliograph._core.signals.routes import TABLE_BYTES
from heliograph._core.signals.wakeups import WAKEUP_BYTES
from heliograph._core.stats import counters
from heliograph._core.stats.activity import ACTIVITY_BYTES
from heliograph._core.stats.counters import SLOT_BYTES
from heliograph._core.stats.durations import DURATION_BYTES
from heliograph.exceptions import ConfigError
from heliograph.models import FarmSpec, Topology

MOST = 1000
"""Processes of a kind: more than a server can have, since each queue takes two descriptors."""

counts = st.integers(0, MOST)
farms = st.lists(st.builds(FarmSpec, st.text("ab", min_size=1), st.just((1,))), max_size=3).map(tuple)
topologies = st.builds(Topology, counts, counts, farms, counts)
requests = st.lists(
    st.tuples(st.text("abc.", min_size=1, max_size=24), st.integers(0, 5000), st.integers(0, 2**32 - 1)), max_size=8
)
SERVER = Layout.of(Topology(workers=2, mules=1))
TASKS = Segment("tasks", 0, 1, 1)


def assert_sound(layout: Layout) -> None:
    """No two segments overlap, each is aligned, and all are behind the header and within the memory."""
    ends = [layout.header_bytes, *(segment.end for segment in layout.segments)]
    starts = [*(segment.offset for segment in layout.segments), layout.size]
    assert all(end <= start for end, start in zip(ends, starts, strict=True))
    assert all(before <= after for before, after in pairwise(starts))
    assert all(start % ALIGNMENT == 0 for start in starts)


@given(topology=topologies)
def test_segments_of_every_topology_are_sound(topology: Topology) -> None:
    """They do not overlap, are aligned to 64 bytes, and lie within the memory."""
    assert_sound(Layout.of(topology))


@pytest.mark.parametrize("kind", ["workers", "mules", "spoolers"])
def test_segments_of_every_count_are_sound_and_large_enough(kind: str) -> None:
    """Each process, and the master, has a counter slot and an in-flight buffer, for every count up to the limit."""
    for count in range(MOST + 1):
        layout = Layout.of(Topology(**{kind: count}))
        assert_sound(layout)
        assert layout["counters"].length == (count + 1 + MAX_SENDER_ONLY) * SLOT_BYTES
        assert layout["in_flight"].length == (count + 1) * IN_FLIGHT_SLOT_BYTES


def test_segments_have_the_lengths_of_their_formats() -> None:
    """There is a byte for each worker, and a lock for each sender-only slot and one for names."""
    for name, length in {
        "routes.live": TABLE_BYTES,
        "routes.staged": TABLE_BYTES,
        "names": NAMES_BYTES,
        "name_generations": 2 * 256 * 8,
        "wakeups": WAKEUP_BYTES,
        "present": 2,
        "sender_only": 8,
        "durations": 3 * DURATION_BYTES,
        "activity": 3 * ACTIVITY_BYTES,
        "locks": MAX_SENDER_ONLY + 1,
    }.items():
        assert SERVER[name].length == length
    assert sorted(segment.name for segment in SERVER.segments) == sorted(
        [
            *("routes.live", "routes.staged", "counters", "sender_only", "in_flight", "parked", "wakeups", "names"),
            *("name_generations", "present", "locks", "durations", "activity"),
        ]
    )


@given(requests=requests)
def test_segments_of_any_lengths_are_sound(requests: list[tuple[str, int, int]]) -> None:
    """Also odd lengths, and length 0."""
    layout = Layout.place(requests)
    assert_sound(layout)
    assert [(s.name, s.length, s.version) for s in layout.segments] == requests


def test_an_unknown_segment_is_an_error() -> None:
    """The error names the segment."""
    with pytest.raises(KeyError, match="histograms"):
        SERVER["histograms"]


@given(topology=topologies)
def test_memory_of_the_same_code_and_topology_is_accepted(topology: Topology) -> None:
    """Nothing is compared but the header and the size."""
    layout = Layout.of(topology)
    assert len(layout.header()) == layout.header_bytes
    layout.check(layout.header() + b"anything", layout.size)


@given(ours=requests, theirs=requests)
def test_memory_of_other_segments_is_refused(
    ours: list[tuple[str, int, int]], theirs: list[tuple[str, int, int]]
) -> None:
    """Whatever differs: a name, a length, a version, the order or the number of segments."""
    mine, other = Layout.place(ours), Layout.place(theirs)
    found = other.header().ljust(mine.header_bytes, b"\0")
    if ours == theirs:
        mine.check(found, other.size)
    else:
        with pytest.raises(IncompatibleServer):
            mine.check(found, other.size)


@given(data=st.binary(max_size=600))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    """With the error that says so, and no other."""
    with pytest.raises(IncompatibleServer):
        SERVER.check(data, SERVER.size)


@pytest.mark.parametrize("place", range(SERVER.header_bytes))
def test_each_byte_of_the_header_counts(place: int) -> None:
    """A header that differs in one bit is refused."""
    header = bytearray(SERVER.header())
    header[place] ^= 1
    with pytest.raises(IncompatibleServer):
        SERVER.check(bytes(header), SERVER.size)


def changed(name: str, **facts: int) -> bytes:
    """Return the header of a server whose code has other facts of one segment."""
    return Layout(tuple(s._replace(**facts) if s.name == name else s for s in SERVER.segments), SERVER.size).header()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (b"", "shared memory without a header"),
        (b"x" * SERVER.header_bytes, "shared memory without a header"),
        (SERVER.header()[:20], "shared memory without a header"),
        (SERVER.header()[:60], "another layout of the shared memory: routes.live, routes.staged, counters"),
        (MAGIC + struct.pack("=I", VERSION + 1) + SERVER.header()[12:], "layout version 2 instead of 1"),
        (changed("names", version=2), "another layout of the shared memory: names)"),
        (changed("counters", length=5), "another layout of the shared memory: counters)"),
        (changed("names", offset=0), "another layout of the shared memory: the order of the segments"),
        (Layout.of(Topology(workers=9)).header(), "another layout of the shared memory: counters, in_flight"),
        (
            Layout((*SERVER.segments, Segment("tasks", 0, 1, 1)), 0).header(),
            "another layout of the shared memory: tasks",
        ),
    ],
)
def test_the_refusal_names_the_difference_and_the_way_out(found: bytes, says: str) -> None:
    """In one line, as the configuration error that the command shows."""
    with pytest.raises(ConfigError) as caught:
        SERVER.check(found, SERVER.size)
    assert isinstance(caught.value, IncompatibleServer)
    assert says in str(caught.value)
    assert str(caught.value).endswith("restart the server, a reload is not enough")
    assert len(str(caught.value).splitlines()) == 1


def test_memory_of_another_size_is_refused() -> None:
    """Mapping it would reach beyond its end."""
    with pytest.raises(IncompatibleServer, match=f"of 64 bytes instead of {SERVER.size}"):
        SERVER.check(SERVER.header(), 64)


@pytest.mark.parametrize("attribute", ["COUNTERS", "PROCESS_WORDS"])
def test_the_version_of_the_counters_follows_from_their_names(attribute: str) -> None:
    """One more, one less, another name or another order: each is another version, also at the same length."""
    namespace = vars(counters)

    def version(**names: tuple[str, ...]) -> int:
        every = {"COUNTERS": counters.COUNTERS, "PROCESS_WORDS": counters.PROCESS_WORDS, **names}
        return counters.format_version(*every["COUNTERS"], *every["PROCESS_WORDS"])

    names = namespace[attribute]
    others = [(*names, "extra"), names[1:], ("renamed", *names[1:]), names[::-1]]
    versions = {version(**{attribute: other}) for other in others}
    assert version() == counters.FORMAT_VERSION
    assert len(versions | {counters.FORMAT_VERSION}) == len(others) + 1
