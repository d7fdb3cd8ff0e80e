"""The line of the log that counts what the application has registered."""

import pytest

from heliograph.models import CronRule, FileMonitor, Timer
from heliograph.server.processes.processes import _log_loaded


@pytest.mark.parametrize(("signals", "levels"), [(3, ["INFO"]), (0, ["INFO", "WARNING"])])
def test_loaded_signals_and_triggers_are_counted(caplog, signals, levels):
    """An application without handlers is warned of."""
    with caplog.at_level("INFO", "heliograph.master"):
        _log_loaded(signals, {Timer: 2, CronRule: 1})
    assert caplog.messages[0] == f"Loaded {signals} signals, 2 timers, 1 cron rule, 0 file monitors"
    assert [record.levelname for record in caplog.records] == levels


@pytest.mark.parametrize(("targets", "text"), [(1, "tasks for 1 target"), (2, "tasks for 2 targets")])
def test_a_single_one_has_no_plural(caplog, targets, text):
    """In each part of the line."""
    with caplog.at_level("INFO", "heliograph.master"):
        _log_loaded(1, {Timer: 1, CronRule: 2, FileMonitor: 1}, targets)
    assert caplog.messages == [f"Loaded 1 signal, 1 timer, 2 cron rules, 1 file monitor, {text}"]


@pytest.mark.parametrize(
    ("uncalled", "advice"),
    [("", "Import the modules that register them."), ("shop:make()", "To call its factory, write 'shop:make()'.")],
)
def test_an_application_without_handlers_gets_advice(caplog, uncalled, advice):
    """Its factory, which registers them, was not called."""
    _log_loaded(0, {}, uncalled=uncalled)
    assert caplog.messages[-1].endswith(f"the application has registered none. {advice}")
