"""The dispatcher: events go to the supervisor, actions to the functions that carry them out."""

import pytest

from heliograph._core.supervision.actions import Drain, Kill, Log
from heliograph._core.supervision.events import Due, Idle, ReloadRequested, StopRequested
from heliograph.server.dispatcher import Dispatcher


class Script:
    """A supervisor that answers each event with the actions that a test has written down."""

    def __init__(self, answers):
        self.answers, self.handled = answers, []
        self.deadline = 42.0

    def handle(self, event, now):
        self.handled.append((event, now))
        return self.answers.get(type(event), [])


@pytest.fixture
def dispatcher():
    return Dispatcher(Script({StopRequested: [Drain(1), Kill(2), Drain(3)], ReloadRequested: [Kill(9)]}))


def test_actions_are_carried_out_in_order_by_their_type(dispatcher):
    """Each type by its own functions, an action without one by none."""
    done = []
    dispatcher.on(Drain, lambda action: done.append(("drain", action.pid)))
    dispatcher.on(Drain, lambda action: done.append(("log", action.pid)))
    dispatcher.on(Kill, lambda action: done.append(("kill", action.pid)))
    dispatcher.handle(StopRequested(), 1.0)
    dispatcher.handle(Idle(), 2.0)
    assert done == [("drain", 1), ("log", 1), ("kill", 2), ("drain", 3), ("log", 3)]
    assert dispatcher.supervisor.handled == [(StopRequested(), 1.0), (Idle(), 2.0)]


def test_an_event_that_an_action_causes_is_handled_afterwards(dispatcher):
    """All actions of the first event come before."""
    done = []

    def drain(action):
        done.append(action.pid)
        if action.pid == 1:
            dispatcher.handle(ReloadRequested(), 1.5)

    dispatcher.on(Drain, drain)
    dispatcher.on(Kill, lambda action: done.append(action.pid))
    dispatcher.handle(StopRequested(), 1.0)
    assert done == [1, 2, 3, 9]


def test_an_action_that_fails_does_not_keep_the_others(dispatcher, caplog):
    """It is logged with its traceback."""
    done = []

    def fail(action):
        raise OSError(f"on purpose: {action.pid}")

    dispatcher.on(Drain, fail)
    dispatcher.on(Kill, lambda action: done.append(action.pid))
    dispatcher.handle(StopRequested(), 1.0)
    assert done == [2]
    assert "on purpose: 1" in caplog.text
    assert "on purpose: 3" in caplog.text
    dispatcher.handle(ReloadRequested(), 2.0)
    assert done == [2, 9]


def test_observers_see_events_after_their_actions(dispatcher):
    """They find the new state."""
    seen = []
    dispatcher.on(Kill, lambda _: seen.append("action"))
    dispatcher.observe(seen.append)
    dispatcher.handle(ReloadRequested(), 1.0)
    assert seen == ["action", ReloadRequested()]


def test_a_deadline_is_an_event(dispatcher):
    """The loop asks for the supervisor's deadline, and ticks when it has passed."""
    assert dispatcher.deadline == 42.0
    dispatcher.tick(43.0)
    assert dispatcher.supervisor.handled == [(Due(), 43.0)]


def test_a_supervisor_that_fails_does_not_block_later_events(dispatcher, monkeypatch):
    """The caller gets the error."""
    monkeypatch.setattr(dispatcher.supervisor, "handle", lambda _event, _now: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dispatcher.handle(Idle(), 1.0)
    monkeypatch.setattr(dispatcher.supervisor, "handle", lambda _event, _now: [Log(20, "works again")])
    texts = []
    dispatcher.on(Log, lambda action: texts.append(action.text))
    dispatcher.handle(Idle(), 2.0)
    assert texts == ["works again"]
