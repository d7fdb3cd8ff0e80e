"""The signals whose handlers a process runs, as another process reads them from its buffer."""

from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.signals.records import (
    DONE,
    FETCHED,
    IN_FLIGHT_BYTES,
    INTERRUPTED,
    PREFETCH,
    RUNNING,
    Record,
    encode,
)
from heliograph._core.signals.running import RunningSignal, running_signals

records = st.builds(
    Record,
    st.integers(0, 255),
    st.just(3),
    st.integers(0, 3),
    st.sampled_from([DONE, FETCHED, RUNNING, INTERRUPTED]),
    st.integers(0, 2**63),
)


@given(in_flight=st.lists(records, max_size=PREFETCH), batch_since=st.integers(0, 2**63))
def test_running_signals_are_found_with_their_start(in_flight: list[Record], batch_since: int) -> None:
    """The handler that started last is the last one. Records that have not started are not there."""
    buffer = memoryview(b"".join(map(encode, in_flight)).ljust(IN_FLIGHT_BYTES, b"\0"))
    running = [
        RunningSignal(record.num, max(record.time, batch_since)) for record in in_flight if record.state == RUNNING
    ]
    assert running_signals(buffer, batch_since) == sorted(running, key=lambda signal: signal.since)
