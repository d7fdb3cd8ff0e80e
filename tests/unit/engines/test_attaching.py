"""The engine of a web process whose master does not answer yet."""

from unittest.mock import Mock

from heliograph.engines.attaching import AttachingEngine
from heliograph.exceptions import ConfigError


def test_hooks_are_handed_over_to_the_engine_that_takes_over(tmp_path):
    """Those that were added before, and those that are added later."""
    adopted = []
    engine = AttachingEngine(tmp_path / "no.sock", adopted.append, ConfigError("no answer"))
    engine.leave()  # its thread asks no more
    before, later = Mock(), Mock()
    engine.on_start(before)
    engine.on_stop(before)
    successor = Mock()
    engine._hand_over(successor)
    engine.on_start(later)
    engine.on_stop(later)
    assert adopted == [successor]
    assert [call.args for call in successor.on_start.call_args_list] == [(before,), (later,)]
    assert [call.args for call in successor.on_stop.call_args_list] == [(before,), (later,)]
