"""The warning of a container that is killed before the server has stopped."""

from __future__ import annotations

import pytest

from heliograph.exceptions import ConfigError
from heliograph.server.containers import short_stop, warn_of_short_stop

KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.mark.parametrize(
    ("environ", "timeout", "warns"),
    [
        ({}, 30, True),
        ({}, 8, True),
        ({}, 7.9, False),
        (KUBERNETES, 30, True),
        (KUBERNETES, 27.9, False),
        ({"HELIOGRAPH_STOP_PERIOD": "40"}, 30, False),
        ({"HELIOGRAPH_STOP_PERIOD": "32"}, 30, True),
        ({"HELIOGRAPH_STOP_PERIOD": "5"}, 4, True),
        ({"HELIOGRAPH_STOP_PERIOD": "0"}, 3600, False),
        ({"HELIOGRAPH_STOP_PERIOD": "40", **KUBERNETES}, 30, False),
    ],
)
def test_the_first_process_compares_its_graceful_timeout(environ, timeout, warns):
    assert (short_stop(1, environ, timeout) is not None) is warns


def test_another_process_is_killed_by_nobody_after_ten_seconds():
    assert short_stop(4711, {}, 30) is None


def test_a_period_that_somebody_set_holds_for_every_process():
    """The first process may be an init, as with `docker run --init`."""
    assert "HELIOGRAPH_STOP_PERIOD says" in short_stop(7, {"HELIOGRAPH_STOP_PERIOD": "10"}, 30)


def test_the_warning_names_the_figures_and_the_ways_out():
    text = short_stop(1, {}, 30)
    assert "killed 10 s after SIGTERM, and the graceful timeout is 30 s" in text
    assert "more than 32 s" in text
    for way in ("docker stop --time", "stop_grace_period", "HELIOGRAPH_STOP_PERIOD", "--graceful-timeout"):
        assert way in text


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "nan", "10s"])
def test_a_bad_period_is_an_error(text):
    with pytest.raises(ConfigError, match=r"invalid HELIOGRAPH_STOP_PERIOD: "):
        short_stop(1, {"HELIOGRAPH_STOP_PERIOD": text}, 30)


def test_the_warning_is_logged(monkeypatch, caplog):
    monkeypatch.setenv("HELIOGRAPH_STOP_PERIOD", "10")
    warn_of_short_stop(30)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
