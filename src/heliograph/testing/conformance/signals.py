"""Rows S1-S13: numbers, handlers, registration."""

from __future__ import annotations

import time
from typing import Any

import pytest

from heliograph import (
    REGISTERED_SIGNALS,
    Signal,
    UwsgiconfException,
    get_available_num,
    get_last_received,
)
from heliograph.exceptions import AlreadyRegistered, RegistrationError, ServerNotReady
from heliograph.testing.conformance.promises import promise
from heliograph.testing.stage import acts
from heliograph.testing.stage.plays import ServerStage, Stage

FIRST = "worker1"
"""The process in which most acts play: every stage has it."""


def loaded(name: str) -> Any:
    """What came of an attempt while the application was loaded."""
    from heliograph.testing.stage import app

    return app.LOADED[name]


def outcome(num: Any) -> str:
    """What comes of `Signal(num)`: the builtin that its error is, or the number."""
    try:
        return repr(Signal(num).num)
    except UwsgiconfException as error:
        builtin = ValueError if isinstance(error, ValueError) else TypeError
        return f"{builtin.__name__}: {error}"


@promise("S1")
@pytest.mark.parametrize("num", [-1, 256, 1000])
def test_s1_a_number_out_of_range_is_a_value_error_that_says_so(stage: Stage, num: int) -> None:
    """Numbers do not wrap around in silence."""
    said = stage.call(FIRST, outcome, num)
    assert said.startswith("ValueError") and str(num) in said and "0 to 255" in said


@promise("S1")
@pytest.mark.parametrize("num", [True, "7", 7.0, b"7"])
def test_s1_what_is_no_integer_is_a_type_error_that_says_so(stage: Stage, num: Any) -> None:
    """A bool is no number of a signal either."""
    said = stage.call(FIRST, outcome, num)
    assert said.startswith("TypeError") and repr(num) in said


@promise("S2")
def test_s2_claims_are_not_shared_and_numbers_are_equal(stage: Stage) -> None:
    """`Signal()` takes the first free number each time; `Signal(n)` twice is one signal, and an int where wanted."""
    first, taken, next_taken, then = stage.call(FIRST, loaded, "target after a claim")
    assert first == taken
    assert taken < next_taken < then
    assert Signal(9) == Signal(9)
    assert hash(Signal(9)) == hash(Signal(9))
    assert int(Signal(9)) == 9
    assert list(range(10))[Signal(9)] == 9


def number_of(name: str) -> int:
    """`Signal(name=name)`, as a number."""
    return int(Signal(name=name))


def others(stage: Stage) -> tuple[str, ...]:
    """Processes that are not `FIRST`."""
    return ("worker2", "mule1", "mule2", "spooler1") if "mules" in stage.features else ("worker2",)


@promise("S2")
def test_s2_a_name_has_one_number_in_every_process(stage: Stage) -> None:
    """`Signal(name="stage")` is one signal wherever it is asked for, and what was registered by the name runs."""
    num = stage.call(FIRST, number_of, "stage")
    assert {stage.call(who, number_of, "stage") for who in others(stage)} == {num}
    since = len(stage.events(num))
    stage.call(FIRST, send, num)
    assert len(stage.expect(1, num, since=since)) == 1


@promise("S2", "local")
def test_s2_names_that_want_one_number_agree_whoever_comes_first(stage: Stage) -> None:
    """On our own server, where names are kept for all: in one process the one is asked for first, then the other."""
    first, second = (stage.call(FIRST, number_of, name) for name in ("a", "x"))
    for who in others(stage):
        assert [stage.call(who, number_of, name) for name in ("x", "a")] == [second, first]
    assert first != second


def claim_all() -> tuple[int, list[str]]:
    """Claim every free number, and say what happens then: to `Signal()`, `get_available_num()` and a new name."""
    from heliograph.runtime.signals import TABLE

    before = set(TABLE.claimed)
    claimed: list[int] = []
    failures: list[str] = []
    try:
        while True:
            expected = get_available_num()
            claimed.append(int(Signal()))
            assert claimed[-1] == expected
    except UwsgiconfException as error:
        failures.append(type(error).__name__)
    finally:
        failures += [_error_of(get_available_num), _error_of(number_of, "one too many")]
        TABLE.claimed.clear()
        TABLE.claimed.update(before)
    return len(set(claimed)) - len(claimed), failures


def _error_of(act: Any, *args: Any) -> str:
    try:
        act(*args)
    except UwsgiconfException as error:
        return type(error).__name__
    return "nothing"


@promise("S3")
def test_s3_with_all_numbers_taken_both_raise(stage: Stage) -> None:
    """`get_available_num()` is what `Signal()` takes; with none left both say so, and so does a new name."""
    assert stage.call(FIRST, claim_all) == (0, ["NoSignalAvailable"] * 3)


def registered(num: int) -> bool:
    """`Signal(num).registered`."""
    return Signal(num).registered


@promise("S4")
def test_s4_registered_is_a_bool(stage: Stage) -> None:
    """True or False, not True or None."""
    assert stage.call(FIRST, registered, 10) is True
    assert stage.call(FIRST, registered, 250) is False


@promise("S5")
def test_s5_registering_again_replaces_the_handler(stage: Stage) -> None:
    """The second function runs, the first does not."""
    since = len(stage.events(63))
    stage.call(FIRST, send, 63)
    assert stage.expect(1, 63, since=since)[0].num == 63


@promise("S5")
def test_s5_where_it_cannot_be_moved_the_error_names_both_functions(stage: Stage) -> None:
    """Another target for a registered number: an error, or it moves."""
    result = stage.call(FIRST, loaded, "move")
    if "moves" in stage.features:
        assert not isinstance(result, Exception)
        return
    assert isinstance(result, (AlreadyRegistered, RegistrationError))
    if "lazy" not in stage.features:
        assert "acts.note" in str(result) and "use another number" in str(result)


def send(num: int, timeout: float = 5.0) -> None:
    """`Signal(num).send()`."""
    Signal(num).send(timeout=timeout)


@promise("S6")
@pytest.mark.parametrize("func", ["None", "5", "'text'"])
def test_s6_a_handler_that_cannot_be_called_is_a_type_error(stage: Stage, func: str) -> None:
    """Found at registration, not at the first signal; nothing is registered."""
    error = stage.call(FIRST, loaded, f"handler {func}")
    assert isinstance(error, TypeError)
    assert isinstance(error, UwsgiconfException)
    assert stage.call(FIRST, loaded, "half done") == (False, False)


@promise("S7")
def test_s7_a_handler_may_take_nothing(stage: Stage) -> None:
    """One without parameters is called without."""
    since = len(stage.events(60))
    stage.call(FIRST, send, 60)
    assert len(stage.expect(1, 60, since=since)) == 1


@promise("S7")
def test_s7_a_handler_that_wants_more_is_refused(stage: Stage) -> None:
    """Its signature is looked at once, at registration."""
    assert isinstance(stage.call(FIRST, loaded, "handler of two"), TypeError)


@promise("S8")
def test_s8_an_exception_is_logged_and_the_process_goes_on(stage: Stage) -> None:
    """The same process handles the next signal."""
    since = len(stage.events(61))
    stage.call(FIRST, send, 61)
    stage.call(FIRST, send, 61)
    events = stage.expect(2, 61, since=since)
    if "lazy" not in stage.features:
        assert len({event.pid for event in events}) == 1
    if isinstance(stage, ServerStage):
        for line in ("handler of signal 61 failed", "LookupError: signal 61 fails on purpose"):
            stage.await_said(line)


@promise("S8", "mules", "server")
def test_s8_system_exit_ends_the_process(stage: ServerStage) -> None:
    """As it would anywhere; the server starts another."""
    before = stage.pid("mule2")
    stage.call(FIRST, send, 62)
    stage.await_successor("mule2", before)
    assert stage.expect(1, 62)[-1].pid == before


@promise("S9")
def test_s9_all_forms_of_the_decorator(stage: Stage) -> None:
    """Bare, called, positional, by keyword; the callback comes after the registration; the function is unchanged."""
    assert stage.call(FIRST, loaded, "decorate") == [True, [(249, True), (249, True)], True, (249, "worker"), True]
    assert stage.call(FIRST, loaded, "callback raises") == ("LookupError", True)


def described(num: int) -> tuple[int, str, str]:
    """What `REGISTERED_SIGNALS` says of a number."""
    found = REGISTERED_SIGNALS[num]
    return found.num, found.target, found.func.__name__


@promise("S10")
def test_s10_registered_signals_tell_number_target_function(stage: Stage) -> None:
    """In any process; the target is the resolved text."""
    assert stage.call(FIRST, described, 11) == (11, "worker", "note")


@promise("S10", "mules")
def test_s10_objects_as_targets_are_resolved(stage: Stage) -> None:
    """`Mule(1)`, `Farm("crunchers")` and a mule's number become text."""
    assert [stage.call("mule1", described, num)[1] for num in (25, 26, 32)] == ["mule1", "mule2", "farm_crunchers"]


def register_late(num: int, target: str | None = None) -> str:
    """Try to register in a process that was forked long ago."""
    try:
        Signal(num).register_handler(target)(acts.note)
    except RegistrationError as error:
        return str(error) if num not in REGISTERED_SIGNALS else "half done"
    return "registered"


@promise("S11", "mules", "server")
@pytest.mark.parametrize("who", ["worker1", "mule1", "spooler1"])
def test_s11_a_process_that_cannot_register_for_all_says_where_to_put_it(stage: Stage, who: str) -> None:
    """It never half-registers."""
    said = stage.call(who, register_late, 247)
    assert "where the application is loaded" in said
    assert stage.call(who, registered, 247) is False


@promise("S12", "lazy")
def test_s12_lazy_apps_refuse_what_the_router_would_ignore(stage: Stage) -> None:
    """With the explanation, and what to do instead."""
    error = stage.call(FIRST, loaded, "lazy mule")
    assert isinstance(error, RegistrationError)
    assert "--lazy-apps" in str(error) and "--shared-pyimport" in str(error)


@promise("S13", "loads once", "server")
def test_s13_sending_while_the_application_is_loaded_says_that_the_server_is_not_up(stage: Stage) -> None:
    """No line in a log that nobody reads: an error."""
    error = stage.call(FIRST, loaded, "send")
    assert isinstance(error, ServerNotReady)
    assert "still loading" in str(error)


def hooks() -> list[str]:
    """Which hooks ran in this process, after one that failed."""
    from heliograph.testing.stage import app

    return app.HOOKS


@promise("hooks")
def test_hooks_run_in_each_process_and_one_that_fails_stops_no_other(stage: Stage) -> None:
    """`postfork_hooks.add()`, in every worker and mule."""
    for who in ("worker1", "mule1") if "mules" in stage.features else ("worker1", "worker2"):
        assert who in stage.call(who, hooks)


def last_received() -> int:
    """`get_last_received()`, as a number."""
    time.sleep(0)
    return int(get_last_received())
