"""Rates and percentiles of the last ten minutes."""

import time
from dataclasses import replace

import pytest

from heliograph.web.history import History
from heliograph.web.plots import plots, spark


def run(states, numbers, step=1.0):
    """A history in which signal 7 was handled so many times until each moment."""
    history = History()
    for place, number in enumerate(numbers):
        signal = states.signal(7, done=number, waited=states.distribution(number))
        history.add(states.server(signals=(signal,), looked_at=states.NOW + place * step))
    return history


def known(points):
    return [point for point in points if point is not None]


def test_a_rate_is_the_mean_of_the_last_seconds(states):
    """Five of them."""
    assert run(states, [0, 10, 20, 30]).signal_rate(7) == pytest.approx(10)
    assert run(states, [100]).signal_rate(7) is None
    assert run(states, [0, 10, 20]).signal_rate(8) == 0


def test_a_line_has_a_gap_while_nobody_looked(states):
    """The mean over an hour would be no rate."""
    history = run(states, range(0, 100, 10))
    history.add(states.server(signals=(states.signal(7, done=5000),), looked_at=states.NOW + 120))
    points = history.rates(lambda totals: totals.handled, 5.0)
    assert len(points) == 120
    assert known(points) == pytest.approx([10, 10])


def test_a_server_that_was_started_anew_begins_a_new_history(states):
    """Its counters begin at 0."""
    history = run(states, [50, 60])
    history.add(states.server(signals=(states.signal(7, done=1),), looked_at=states.NOW + 2))
    assert known(history.rates(lambda totals: totals.handled, 5.0)) == []


def test_a_percentile_is_that_of_its_step(states):
    """Not that of all time."""
    history = History()
    for place, buckets in enumerate([((0.001, 900),), ((0.001, 900), (0.5, 10))]):
        waited = replace(states.distribution(), buckets=buckets)
        history.add(states.server(signals=(states.signal(7, waited=waited),), looked_at=states.NOW + place))
    assert known(history.percentiles(lambda totals: totals.waited, 0.95, 5.0)) == [0.5]


def test_old_readings_are_forgotten(states):
    """A page that stays open for days must not grow."""
    history = run(states, range(2000))
    assert len(history._totals) <= 602


def test_plots_name_their_numbers(states):
    """For those who do not see them."""
    html = plots(run(states, [0, 10, 20, 30]))
    assert html.count("<svg") == 6
    assert "Signals handled: now 10/s, at most 10/s in the last 10 minutes" in html
    assert 'd="M' in html
    assert "none yet" in plots(History())


def test_the_plot_of_a_signal_has_the_mean_of_each_step(states):
    """And a gap while nobody looked."""
    history = run(states, range(0, 620, 10))
    points = known(history.signal_points(7))
    assert points == pytest.approx([10] * len(points))
    assert len(points) in {3, 4}
    history.add(states.server(signals=(states.signal(7, done=99_999),), looked_at=states.NOW + 300))
    assert known(history.signal_points(7)) == pytest.approx(points)


def test_a_long_history_of_a_large_server_is_quick(states):
    """The page draws it each second."""
    history, state = History(), states.large()
    for second in range(600):
        history.add(replace(state, looked_at=state.looked_at + second))
    began = time.process_time()
    plots(history)
    for num in range(256):
        spark(history, num)
    assert time.process_time() - began < 0.5


def test_a_signal_without_a_rate_has_no_plot(states):
    """Its cell stays empty."""
    assert spark(run(states, [5, 5, 5]), 7) is None
    assert "<path" in spark(run(states, [5, 6, 7]), 7)
