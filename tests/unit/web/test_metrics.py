"""The metrics: true, in both formats, and fast."""

import time
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from heliograph.web.collector import ServerCollector
from heliograph.web.exposition import BOUNDS, Exposition, cumulative
from heliograph.web.metrics import GROUPS

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def text_of(state, accept=""):
    return Exposition().write(state, accept)[0]


def samples(state):
    """The samples by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text_of(state))
        for sample in family.samples
    }


def value(state, name, /, **labels):
    return samples(state)[name, tuple(sorted(labels.items()))]


@pytest.mark.parametrize("kind", ["server", "unwell", "evil", "large"])
def test_the_text_is_that_of_the_client_library(states, kind):
    """The client library is too slow for a large server, and the judge of the text."""
    state = states.unwell(states.EVIL + "\n\ud800") if kind == "evil" else getattr(states, kind)()
    registry = CollectorRegistry()
    registry.register(ServerCollector(lambda: state))
    if kind != "evil":  # the client library cannot write half a character
        assert text_of(state) == generate_latest(registry).decode()
        assert text_of(state, OPENMETRICS) == generate_openmetrics(registry).decode()
    assert list(parse_openmetrics(text_of(state, OPENMETRICS)))


def test_a_metric_has_the_number_of_the_model(states):
    """One of each kind."""
    state = states.unwell("jobs")
    assert value(state, "heliograph_signal_failed_total", signal="jobs", target="mule") == 17
    assert value(state, "heliograph_process_running_seconds", process="mule1") == 240
    assert value(state, "heliograph_process_up", process="spooler1", role="spooler") == 0
    assert value(state, "heliograph_tasks", task="jobs", target="spooler", status="dead") == 2
    assert value(state, "heliograph_trigger_missed_total", trigger="jobs", kind="cron") == 1
    assert value(state, "heliograph_store_free_bytes") == 12e9
    assert value(state, "heliograph_server_info", name="shop", app="shop.tasks", version="0.1.0", python="3.11.2") == 1


def test_each_problem_is_a_metric(states):
    """By code, subject and severity. A healthy server has none."""
    assert value(states.unwell(), "heliograph_problem", code="hung_handler", subject="mule1", severity="critical") == 1
    assert sum(name == "heliograph_problem" for name, _ in samples(states.unwell())) == 3
    assert not any(name == "heliograph_problem" for name, _ in samples(states.server()))


def test_a_server_that_does_not_answer_is_down():
    """All other metrics are missing, rather than old."""
    assert samples(None) == {("heliograph_up", ()): 0}


def test_two_things_with_the_same_labels_make_one_line(states):
    """Prometheus rejects the whole text if a line stands in it twice."""
    problem = states.unwell().problems[0]
    state = states.server(problems=(problem, problem), signals=(states.signal(7), states.signal(9, "7")))
    lines = [line.rpartition(" ")[0] for line in text_of(state).splitlines() if not line.startswith("#")]
    assert any("hung_handler" in line for line in lines)
    assert len(lines) == len(set(lines))


def test_a_histogram_counts_each_duration_up_to_each_bound(states):
    """The bounds are those of the shared memory, so a duration at a bound belongs to it."""
    found = replace(
        states.distribution(), buckets=((1e-6, 5), (BOUNDS[0], 2), (BOUNDS[0] * 2, 3), (2147.0, 4)), count=14
    )
    assert cumulative(found) == [7, 10, 10, 10, 10, 10, 10, 10, 10]
    state = states.server(signals=(states.signal(7, ran=found),))
    assert value(state, "heliograph_signal_run_seconds_bucket", signal="7", target="mule", le="+Inf") == 14
    assert value(state, "heliograph_signal_run_seconds_count", signal="7", target="mule") == 14


def test_a_histogram_that_was_never_used_has_no_lines(states):
    """A large server would have many."""
    state = states.server(signals=(states.signal(9, "unused", waited=states.NEVER, ran=states.NEVER),), store=None)
    assert not any("_bucket" in name for name, _ in samples(state))


def test_lines_that_are_kept_are_those_of_the_present_state(states):
    """The cache is used for equal things only, and forgets those that are gone."""
    exposition = Exposition()
    exposition.write(states.unwell(), "")
    changed = states.unwell("another")
    assert exposition.write(changed, "")[0] == text_of(changed)
    assert exposition.write(states.server(), "")[0] == text_of(states.server())


def test_names_follow_the_conventions():
    """Of Prometheus: the prefix, base units, no `_total` that the type adds, and one sentence of help."""
    names = [metric.name for group in GROUPS for metric in group.metrics]
    assert len(names) == len(set(names)) > 40
    for group in GROUPS:
        for metric in group.metrics:
            assert metric.name.startswith("heliograph_")
            assert not metric.name.endswith(("_total", "_count", "_sum", "_ms", "_milliseconds"))
            assert metric.help[-1] == "."
            assert (metric.type == "histogram") <= metric.name.endswith("_seconds")


def test_a_large_server_is_written_in_time(states):
    """256 signals, 1,000 functions, 100 processes. Processor time, the best of five."""
    state, exposition = states.large(), Exposition()
    seconds = []
    for _ in range(5):
        began = time.process_time()
        text, _ = exposition.write(replace(state, looked_at=state.looked_at + 1), "")
        seconds.append(time.process_time() - began)
    assert text.count("\n") > 30_000
    assert min(seconds) < 0.05
