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
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.harness import agent
from heliograph.testing.harness.harness import Harness, ServerHarness

FIRST = "worker1"
"""The process in which most acts play: every stage has it."""


def loaded(name: str) -> Any:
    """What came of an attempt while the application was loaded."""
    from heliograph.testing.harness import app

    return app.LOADED[name]


def outcome(num: Any) -> str:
    """What comes of `Signal(num)`: the builtin that its error is, or the number."""
    try:
        return repr(Signal(num).num)
    except UwsgiconfException as error:
        builtin = ValueError if isinstance(error, ValueError) else TypeError
        return f"{builtin.__name__}: {error}"


@guarantee("S1")
@pytest.mark.parametrize("num", [-1, 256, 1000])
def test_s1_a_number_out_of_range_is_a_value_error_that_says_so(harness: Harness, num: int) -> None:
    """Numbers do not wrap around in silence."""
    said = harness.call(FIRST, outcome, num)
    assert said.startswith("ValueError") and str(num) in said and "0 to 255" in said


@guarantee("S1")
@pytest.mark.parametrize("num", [True, "7", 7.0, b"7"])
def test_s1_what_is_no_integer_is_a_type_error_that_says_so(harness: Harness, num: Any) -> None:
    """A bool is no number of a signal either."""
    said = harness.call(FIRST, outcome, num)
    assert said.startswith("TypeError") and repr(num) in said


@guarantee("S2")
def test_s2_claims_are_not_shared_and_numbers_are_equal(harness: Harness) -> None:
    """`Signal()` takes the first free number each time; `Signal(n)` twice is one signal, and an int where wanted."""
    first, taken, next_taken, then = harness.call(FIRST, loaded, "target after a claim")
    assert first == taken
    assert taken < next_taken < then
    assert Signal(9) == Signal(9)
    assert hash(Signal(9)) == hash(Signal(9))
    assert int(Signal(9)) == 9
    assert list(range(10))[Signal(9)] == 9


def number_of(name: str) -> int:
    """`Signal(name=name)`, as a number."""
    return int(Signal(name=name))


def others(harness: Harness) -> tuple[str, ...]:
    """Processes that are not `FIRST`."""
    return ("worker2", "mule1", "mule2", "spooler1") if "mules" in harness.features else ("worker2",)


@guarantee("S2")
def test_s2_a_name_has_one_number_in_every_process(harness: Harness) -> None:
    """`Signal(name="stage")` is one signal wherever it is asked for, and what was registered by the name runs."""
    num = harness.call(FIRST, number_of, "stage")
    assert {harness.call(process, number_of, "stage") for process in others(harness)} == {num}
    since = len(harness.events(num))
    harness.call(FIRST, send, num)
    assert len(harness.expect(1, num, since=since)) == 1


@guarantee("S2", "local")
def test_s2_names_that_want_one_number_agree_whoever_comes_first(harness: Harness) -> None:
    """On our own server, where names are kept for all: in one process the one is asked for first, then the other."""
    first, second = (harness.call(FIRST, number_of, name) for name in ("a", "x"))
    for process in others(harness):
        assert [harness.call(process, number_of, name) for name in ("x", "a")] == [second, first]
    assert first != second


def claim_all() -> tuple[int, list[str]]:
    """Claim every free number, and say what happens then: to `Signal()`, `get_available_num()` and a new name."""
    from heliograph.runtime.signals import REGISTRY

    before = set(REGISTRY.claimed)
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
        REGISTRY.claimed.clear()
        REGISTRY.claimed.update(before)
    return len(set(claimed)) - len(claimed), failures


def _error_of(act: Any, *args: Any) -> str:
    try:
        act(*args)
    except UwsgiconfException as error:
        return type(error).__name__
    return "nothing"


@guarantee("S3")
def test_s3_with_all_numbers_taken_both_raise(harness: Harness) -> None:
    """`get_available_num()` is what `Signal()` takes; with none left both say so, and so does a new name."""
    assert harness.call(FIRST, claim_all) == (0, ["NoSignalAvailable"] * 3)


def registered(num: int) -> bool:
    """`Signal(num).registered`."""
    return Signal(num).registered


@guarantee("S4")
def test_s4_registered_is_a_bool(harness: Harness) -> None:
    """True or False, not True or None."""
    assert harness.call(FIRST, registered, 10) is True
    assert harness.call(FIRST, registered, 250) is False


@guarantee("S5")
def test_s5_registering_again_replaces_the_handler(harness: Harness) -> None:
    """The second function runs, the first does not."""
    since = len(harness.events(63))
    harness.call(FIRST, send, 63)
    assert harness.expect(1, 63, since=since)[0].num == 63


@guarantee("S5")
def test_s5_where_it_cannot_be_moved_the_error_names_both_functions(harness: Harness) -> None:
    """Another target for a registered number: an error, or it moves."""
    result = harness.call(FIRST, loaded, "move")
    if "moves" in harness.features:
        assert not isinstance(result, Exception)
        return
    assert isinstance(result, (AlreadyRegistered, RegistrationError))
    if "lazy" not in harness.features:
        assert "agent.note" in str(result) and "use another number" in str(result)


def send(num: int, timeout: float = 5.0) -> None:
    """`Signal(num).send()`."""
    Signal(num).send(timeout=timeout)


@guarantee("S6")
@pytest.mark.parametrize("func", ["None", "5", "'text'"])
def test_s6_a_handler_that_cannot_be_called_is_a_type_error(harness: Harness, func: str) -> None:
    """Found at registration, not at the first signal; nothing is registered."""
    error = harness.call(FIRST, loaded, f"handler {func}")
    assert isinstance(error, TypeError)
    assert isinstance(error, UwsgiconfException)
    assert harness.call(FIRST, loaded, "half done") == (False, False)


@guarantee("S7")
def test_s7_a_handler_may_take_nothing(harness: Harness) -> None:
    """One without parameters is called without."""
    since = len(harness.events(60))
    harness.call(FIRST, send, 60)
    assert len(harness.expect(1, 60, since=since)) == 1


@guarantee("S7")
def test_s7_a_handler_that_wants_more_is_refused(harness: Harness) -> None:
    """Its signature is looked at once, at registration."""
    assert isinstance(harness.call(FIRST, loaded, "handler of two"), TypeError)


@guarantee("S8")
def test_s8_an_exception_is_logged_and_the_process_goes_on(harness: Harness) -> None:
    """The same process handles the next signal."""
    since = len(harness.events(61))
    harness.call(FIRST, send, 61)
    harness.call(FIRST, send, 61)
    events = harness.expect(2, 61, since=since)
    if "lazy" not in harness.features:
        assert len({event.pid for event in events}) == 1
    if isinstance(harness, ServerHarness):
        for line in ("handler of signal 61 failed", "LookupError: signal 61 fails on purpose"):
            harness.wait_for_output(line)


@guarantee("S8", "mules", "server")
def test_s8_system_exit_ends_the_process(harness: ServerHarness) -> None:
    """As it would anywhere; the server starts another."""
    before = harness.pid("mule2")
    harness.call(FIRST, send, 62)
    harness.await_successor("mule2", before)
    assert harness.expect(1, 62)[-1].pid == before


@guarantee("S9")
def test_s9_all_forms_of_the_decorator(harness: Harness) -> None:
    """Bare, called, positional, by keyword; the callback comes after the registration; the function is unchanged."""
    assert harness.call(FIRST, loaded, "decorate") == [True, [(249, True), (249, True)], True, (249, "worker"), True]
    assert harness.call(FIRST, loaded, "callback raises") == ("LookupError", True)


def described(num: int) -> tuple[int, str, str]:
    """What `REGISTERED_SIGNALS` says of a number."""
    found = REGISTERED_SIGNALS[num]
    return found.num, found.target, found.func.__name__


@guarantee("S10")
def test_s10_registered_signals_tell_number_target_function(harness: Harness) -> None:
    """In any process; the target is the resolved text."""
    assert harness.call(FIRST, described, 11) == (11, "worker", "note")


@guarantee("S10", "mules")
def test_s10_objects_as_targets_are_resolved(harness: Harness) -> None:
    """`Mule(1)`, `Farm("crunchers")` and a mule's number become text."""
    assert [harness.call("mule1", described, num)[1] for num in (25, 26, 32)] == ["mule1", "mule2", "farm_crunchers"]


def register_late(num: int, target: str | None = None) -> str:
    """Try to register in a process that was forked long ago."""
    try:
        Signal(num).register_handler(target)(agent.record_event)
    except RegistrationError as error:
        return str(error) if num not in REGISTERED_SIGNALS else "half done"
    return "registered"


@guarantee("S11", "mules", "server")
@pytest.mark.parametrize("process", ["worker1", "mule1", "spooler1"])
def test_s11_a_process_that_cannot_register_for_all_says_where_to_put_it(harness: Harness, process: str) -> None:
    """It never half-registers."""
    said = harness.call(process, register_late, 247)
    assert "where the application is loaded" in said
    assert harness.call(process, registered, 247) is False


@guarantee("S12", "lazy")
def test_s12_lazy_apps_refuse_what_the_router_would_ignore(harness: Harness) -> None:
    """With the explanation, and what to do instead."""
    error = harness.call(FIRST, loaded, "lazy mule")
    assert isinstance(error, RegistrationError)
    assert "--lazy-apps" in str(error) and "--shared-pyimport" in str(error)


@guarantee("S13", "loads once", "server")
def test_s13_sending_while_the_application_is_loaded_says_that_the_server_is_not_up(harness: Harness) -> None:
    """No line in a log that nobody reads: an error."""
    error = harness.call(FIRST, loaded, "send")
    assert isinstance(error, ServerNotReady)
    assert "still loading" in str(error)


def hooks() -> list[str]:
    """Which hooks ran in this process, after one that failed."""
    from heliograph.testing.harness import app

    return app.HOOKS


@guarantee("hooks")
def test_hooks_run_in_each_process_and_one_that_fails_stops_no_other(harness: Harness) -> None:
    """`postfork_hooks.add()`, in every worker and mule."""
    for process in ("worker1", "mule1") if "mules" in harness.features else ("worker1", "worker2"):
        assert process in harness.call(process, hooks)


def last_received() -> int:
    """`get_last_received()`, as a number."""
    time.sleep(0)
    return int(get_last_received())
