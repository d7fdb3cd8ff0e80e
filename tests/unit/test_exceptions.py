"""The tree of exceptions: builtin base classes, attributes, messages, and pickling."""

import copy
import pickle
import re
from typing import Any

import pytest

from heliograph import exceptions
from heliograph.exceptions import (
    AlreadyRegistered,
    ConfigError,
    InvalidTask,
    NoEngine,
    NoSignalAvailable,
    NotSupported,
    ProcessEnded,
    RegistrationError,
    RemoteRejected,
    RemoteUnreachable,
    ScheduleError,
    ServerBusy,
    ServerNotReady,
    SignalNameError,
    SignalNotRegistered,
    SignalNumberError,
    SignalQueueFull,
    SignalTypeError,
    StoreError,
    TargetError,
    TaskArgumentError,
    TaskCancelled,
    TaskExpired,
    TaskNotFinished,
    TaskNotFound,
    TimeLimitExceeded,
    UwsgiconfException,
    WaitFailed,
    WaitTimeout,
)

SAMPLES: list[tuple[UwsgiconfException, dict[str, Any]]] = [
    (UwsgiconfException("root"), {}),
    (SignalNumberError(256), {"num": 256}),
    (SignalNameError("refresh", "cannot be"), {"name": "refresh"}),
    (SignalTypeError("a number, not 'x'", "x"), {"value": "x"}),
    (NoSignalAvailable(), {}),
    (
        TargetError("bogus", "is not a target", ("worker", "mule1")),
        {"target": "bogus", "available": ("worker", "mule1")},
    ),
    (TargetError("bogus", "is no target"), {"target": "bogus", "available": ()}),
    (RegistrationError(5, "this is a mule"), {"num": 5}),
    (AlreadyRegistered(5, "shop.old has it", old="shop.old", new="shop.new"), {"num": 5, "old": "shop.old"}),
    (SignalNotRegistered(5), {"num": 5}),
    (ScheduleError("a period of -1", -1), {"value": -1}),
    (SignalQueueFull(5, "mule1", 0.5), {"num": 5, "target": "mule1", "timeout": 0.5}),
    (SignalQueueFull(5, "mule1", 0.5, self_deadlock=True), {"num": 5, "target": "mule1"}),
    (WaitTimeout(5, 0.5), {"num": 5, "timeout": 0.5}),
    (WaitTimeout(None, 0.5), {"num": None, "timeout": 0.5}),
    (WaitFailed("broken"), {}),
    (NotSupported("cannot"), {}),
    (NoEngine("none"), {}),
    (ServerNotReady("loading"), {}),
    (ServerBusy("busy"), {}),
    (RemoteRejected(5, "shop:3031"), {"num": 5, "remote": "shop:3031"}),
    (RemoteUnreachable(5, "shop:3031", "no route"), {"num": 5, "remote": "shop:3031"}),
    (StoreError("no task was stored in /var/lib/shop: the disk is full.", "/var/lib/shop"), {"path": "/var/lib/shop"}),
    (InvalidTask("invalid retries: -1", "retries"), {"argument": "retries"}),
    (TaskArgumentError("invalid argument 'to'", "to"), {"argument": "to"}),
    (TaskNotFound("1f-00"), {"task_id": "1f-00"}),
    (TaskNotFinished("1f-00", 0.5), {"task_id": "1f-00", "timeout": 0.5}),
    (ProcessEnded("the process ended"), {}),
    (TimeLimitExceeded("too long"), {}),
    (TaskCancelled("cancelled"), {}),
    (TaskExpired("expired"), {}),
    (ConfigError("workers=-1"), {}),
]
NAMES = [type(error).__name__ for error, _ in SAMPLES]
DRAWN: list[tuple[str, str]] = re.findall(r"[├└]── (\w+) +((?:[A-Z]\w+(?:Error|Exception))?)", exceptions.__doc__ or "")


def test_docstring_lists_every_exception() -> None:
    """Each exception also has a sample in this module."""
    defined = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and issubclass(value, UwsgiconfException)
    }
    assert {name for name, _ in DRAWN} | {"UwsgiconfException"} == defined == set(NAMES)


@pytest.mark.parametrize(("name", "builtin"), DRAWN)
def test_exception_has_the_listed_base_classes(name: str, builtin: str) -> None:
    """You can catch each exception as `UwsgiconfException`, and as the builtin beside it."""
    error = getattr(exceptions, name)
    assert issubclass(error, UwsgiconfException)
    if builtin:
        assert issubclass(error, getattr(__builtins__, builtin, None) or __builtins__[builtin])


def test_already_registered_is_a_registration_error() -> None:
    """The tree shows `AlreadyRegistered` below `RegistrationError`."""
    assert issubclass(AlreadyRegistered, RegistrationError)


@pytest.mark.parametrize(("error", "facts"), SAMPLES, ids=NAMES)
def test_exception_has_its_facts(error: UwsgiconfException, facts: dict[str, Any]) -> None:
    """The facts are attributes, and numbers and words are in the message."""
    for name, value in facts.items():
        assert getattr(error, name) == value
        if value not in (None, ()):
            assert all(str(word) in str(error) for word in (value if isinstance(value, tuple) else (value,)))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(("error", "facts"), SAMPLES, ids=NAMES)
def test_exception_can_be_pickled(error: UwsgiconfException, facts: dict[str, Any], protocol: int) -> None:
    """Type, message, facts and notes are the same afterwards."""
    sent = copy.copy(error)
    sent.add_note("seen in mule1")
    received = pickle.loads(pickle.dumps(sent, protocol))
    assert type(received) is type(error)
    assert (str(received), received.args) == (str(error), error.args)
    assert received.__notes__ == ["seen in mule1"]
    assert {name: getattr(received, name) for name in facts} == facts


@pytest.mark.parametrize(("error", "facts"), SAMPLES, ids=NAMES)
def test_exception_can_be_copied(error: UwsgiconfException, facts: dict[str, Any]) -> None:
    """The copy has the same message and attributes, and is another object."""
    twin = copy.copy(error)
    assert twin is not error
    assert (str(twin), repr(twin), vars(twin)) == (str(error), repr(error), vars(error))


def test_value_that_cannot_be_pickled_becomes_its_repr() -> None:
    """A lambda cannot be pickled."""
    error = SignalTypeError("must take the number", lambda: None)
    received = pickle.loads(pickle.dumps(error))
    assert received.value == repr(error.value)
    assert callable(error.value)


def test_subclass_of_an_application_can_be_pickled() -> None:
    """A subclass with another `__init__` needs no extra code."""
    received = pickle.loads(pickle.dumps(ShopError(5, reason="closed")))
    assert isinstance(received, ShopError)
    assert (received.num, received.reason, str(received)) == (5, "closed", str(SignalNotRegistered(5)))


class ShopError(SignalNotRegistered):
    """An exception of an application."""

    def __init__(self, num: int, *, reason: str) -> None:
        super().__init__(num)
        self.reason = reason


def test_full_queue_gives_the_reason() -> None:
    """The message says if waiting could have helped."""
    assert "the queue of 'mule1' is full after 0.5 s. " in str(SignalQueueFull(5, "mule1", 0.5))
    assert "only this process could empty it" in str(SignalQueueFull(5, "mule1", 0.5, self_deadlock=True))


def test_signal_without_a_handler_names_the_application():
    """If the server knows its application, the message says where to register the handler."""
    assert str(SignalNotRegistered(5)).endswith("in a module that the application imports.")
    assert str(SignalNotRegistered(5, "shop.tasks")).endswith("in shop.tasks, then run heliograph reload.")


@pytest.mark.parametrize("error", [error for error, _ in SAMPLES], ids=NAMES)
def test_message_has_at_most_two_sentences(error: UwsgiconfException) -> None:
    """The first sentence says what failed, the second says what to do."""
    assert len(re.split(r"[.!?] (?=[A-Z])", str(error))) <= 2


def test_docstring_lists_the_exceptions_that_may_change_state() -> None:
    """It is not true that every exception leaves the state as it was."""
    doc = exceptions.__doc__ or ""
    assert "is what it was before" not in doc
    assert all(
        word in doc for word in ("`SignalQueueFull` from a signal to several", "`RemoteUnreachable`", "`callback`")
    )
