"""Guarantees S1-S13: numbers, names, handlers and registration."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph import REGISTERED_SIGNALS, Signal, UwsgiconfException, get_available_num
from heliograph.exceptions import AlreadyRegistered, RegistrationError, ServerNotReady
from heliograph.testing.conformance.actions import FIRST, attempted, error_of, number_of, send
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.harness import agent
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import ALL_PROCESSES, Harness
from heliograph.testing.harness.server import ServerHarness
from heliograph.testing.harness.signals import NAME, Handler, To, Unregistered


def number_or_error(num: Any) -> str:
    """Return the number of `Signal(num)`, or the name of the builtin exception and the message."""
    try:
        return repr(Signal(num).num)
    except UwsgiconfException as error:
        builtin = ValueError if isinstance(error, ValueError) else TypeError
        return f"{builtin.__name__}: {error}"


@guarantee("S1")
@pytest.mark.parametrize("num", [-1, 256, 1000])
def test_s1_a_number_out_of_range_is_a_value_error(harness: Harness, num: int) -> None:
    """Numbers do not wrap around. The message names the number and the range."""
    text = harness.call(FIRST, number_or_error, num)
    assert text.startswith("ValueError") and str(num) in text and "0 to 255" in text


@guarantee("S1")
@pytest.mark.parametrize("num", [True, "7", 7.0, b"7"])
def test_s1_a_value_that_is_not_an_integer_is_a_type_error(harness: Harness, num: Any) -> None:
    """A bool is not accepted either. The message names the value."""
    text = harness.call(FIRST, number_or_error, num)
    assert text.startswith("TypeError") and repr(num) in text


@guarantee("S2")
def test_s2_signal_objects_with_one_number_are_equal(harness: Harness) -> None:
    """`Signal()` takes the first free number. `Signal(n)` compares, hashes and indexes like `n`."""
    first, taken, next_taken, then = harness.call(FIRST, attempted, "claimed numbers")
    assert first == taken
    assert taken < next_taken < then
    assert Signal(9) == Signal(9)
    assert hash(Signal(9)) == hash(Signal(9))
    assert int(Signal(9)) == 9
    assert list(range(10))[Signal(9)] == 9


def other_processes(harness: Harness) -> list[str]:
    """Return the processes except `FIRST`."""
    return [name for name in ALL_PROCESSES if name != FIRST] if harness.can(Capability.MULES) else ["worker2"]


@guarantee("S2")
def test_s2_a_name_has_one_number_in_every_process(harness: Harness) -> None:
    """`Signal(name=...)` is the same signal in all processes. The handler that was registered by name runs."""
    num = harness.call(FIRST, number_of, NAME)
    assert {harness.call(process, number_of, NAME) for process in other_processes(harness)} == {num}
    since = len(harness.events(num))
    harness.call(FIRST, send, num)
    assert len(harness.expect(1, num, since=since)) == 1


@guarantee("S2", Capability.LOCAL)
def test_s2_two_names_with_the_same_first_choice_get_two_numbers(harness: Harness) -> None:
    """The heliograph server keeps names for all processes, so every process gets the same two, in any order."""
    first, second = (harness.call(FIRST, number_of, name) for name in ("a", "x"))
    for process in other_processes(harness):
        assert [harness.call(process, number_of, name) for name in ("x", "a")] == [second, first]
    assert first != second


def claim_all() -> tuple[int, list[str]]:
    """Claim every free number. Return the number of duplicates, and the exceptions when no number is left."""
    from heliograph.runtime.handlers import REGISTRY

    before = set(REGISTRY.claimed)
    claimed: list[int] = []
    errors: list[str] = []
    try:
        while True:
            expected = get_available_num()
            claimed.append(int(Signal()))
            assert claimed[-1] == expected
    except UwsgiconfException as error:
        errors.append(type(error).__name__)
    finally:
        errors += [type(error_of(get_available_num)).__name__, type(error_of(number_of, "one too many")).__name__]
        REGISTRY.claimed.clear()
        REGISTRY.claimed.update(before)
    return len(claimed) - len(set(claimed)), errors


@guarantee("S3")
def test_s3_a_new_signal_without_a_free_number_is_an_error(harness: Harness) -> None:
    """`Signal()`, `get_available_num()` and a new name raise `NoSignalAvailable` if all 256 numbers are taken."""
    assert harness.call(FIRST, claim_all) == (0, ["NoSignalAvailable"] * 3)


def registered(num: int) -> bool:
    """Return `Signal(num).registered`."""
    return Signal(num).registered


@guarantee("S4")
def test_s4_registered_is_a_bool(harness: Harness) -> None:
    """`Signal.registered` is True or False, never None."""
    assert harness.call(FIRST, registered, To.DEFAULT) is True
    assert harness.call(FIRST, registered, Unregistered.AWAITED) is False


@guarantee("S5")
def test_s5_a_second_registration_replaces_the_handler(harness: Harness) -> None:
    """Only the second handler runs."""
    num = Handler.REPLACED
    since = len(harness.events(num))
    harness.call(FIRST, send, num)
    assert harness.expect(1, num, since=since)[0].num == num


@guarantee("S5", reduced_without=[Capability.MOVABLE_TARGETS])
def test_s5_a_second_registration_can_change_the_target(harness: Harness) -> None:
    """If the engine cannot change the target, the error names both handlers."""
    result = harness.call(FIRST, attempted, "move")
    if harness.can(Capability.MOVABLE_TARGETS):
        assert not isinstance(result, Exception)
        return
    assert isinstance(result, (AlreadyRegistered, RegistrationError))
    if not harness.can(Capability.LAZY_APPS):
        assert "agent.record_event" in str(result) and "Use another number" in str(result)


@guarantee("S6")
@pytest.mark.parametrize("func", ["None", "5", "'text'"])
def test_s6_a_handler_that_is_not_callable_is_a_type_error(harness: Harness, func: str) -> None:
    """The registration raises the error and registers nothing."""
    error = harness.call(FIRST, attempted, f"handler {func}")
    assert isinstance(error, TypeError)
    assert isinstance(error, UwsgiconfException)
    assert harness.call(FIRST, attempted, "invalid is registered") == (False, False)


@guarantee("S7")
def test_s7_a_handler_may_have_no_parameters(harness: Harness) -> None:
    """heliograph calls it without arguments."""
    since = len(harness.events(Handler.NO_ARGUMENTS))
    harness.call(FIRST, send, Handler.NO_ARGUMENTS)
    assert len(harness.expect(1, Handler.NO_ARGUMENTS, since=since)) == 1


@guarantee("S7")
def test_s7_a_handler_with_two_parameters_is_rejected(harness: Harness) -> None:
    """The registration checks the signature."""
    assert isinstance(harness.call(FIRST, attempted, "handler with two parameters"), TypeError)


@guarantee("S8")
def test_s8_an_exception_in_a_handler_is_logged(harness: Harness) -> None:
    """The process continues and handles the next signal."""
    num = Handler.FAILING
    since = len(harness.events(num))
    harness.call(FIRST, send, num)
    harness.call(FIRST, send, num)
    events = harness.expect(2, num, since=since)
    if not harness.can(Capability.LAZY_APPS):
        assert len({event.pid for event in events}) == 1
    if isinstance(harness, ServerHarness):
        for line in (f"signal {num} failed", f"LookupError: signal {num} fails on purpose"):
            harness.wait_for_output(line)


@guarantee("S8", Capability.MULES, Capability.SERVER)
def test_s8_system_exit_in_a_handler_ends_the_process(harness: ServerHarness) -> None:
    """The server starts a successor."""
    before = harness.pid("mule2")
    harness.call(FIRST, send, Handler.EXITING)
    harness.await_successor("mule2", before)
    assert harness.expect(1, Handler.EXITING)[-1].pid == before


@guarantee("S9")
def test_s9_the_decorator_has_many_forms(harness: Harness) -> None:
    """Bare, called, positional and keyword. It runs the callback after the registration and returns the function."""
    num = int(Handler.DECORATED)
    assert harness.call(FIRST, attempted, "decorate") == [True, [(num, True)] * 2, True, (num, "worker"), True]
    assert harness.call(FIRST, attempted, "failing callback") == ("LookupError", True)


def described(num: int) -> tuple[int, str, str]:
    """Return the number, target and function name in `REGISTERED_SIGNALS`."""
    found = REGISTERED_SIGNALS[num]
    return found.num, found.target, found.func.__name__


@guarantee("S10")
def test_s10_registered_signals_has_number_target_and_function(harness: Harness) -> None:
    """The dictionary is the same in every process. The target is its normalized text."""
    num = To.EMPTY_TEXT
    assert harness.call(FIRST, described, num) == (num, "worker", "record_event")


@guarantee("S10", Capability.MULES)
def test_s10_objects_as_targets_become_text(harness: Harness) -> None:
    """`Mule(1)`, `Farm("crunchers")` and the number of a mule."""
    nums = (To.MULE_1_AS_OBJECT, To.MULE_2_AS_NUMBER, To.FARM_AS_OBJECT)
    assert [harness.call("mule1", described, num)[1] for num in nums] == ["mule1", "mule2", "farm_crunchers"]


def register_late(num: int, target: str | None = None) -> str:
    """Register a handler in a process that has been forked, and return what happened."""
    try:
        Signal(num).register_handler(target)(agent.record_event)
    except RegistrationError as error:
        return str(error) if num not in REGISTERED_SIGNALS else "registered in spite of the error"
    return "registered"


@guarantee("S11", Capability.MULES, Capability.SERVER)
@pytest.mark.parametrize("process", ["worker1", "mule1", "spooler1"])
def test_s11_a_registration_after_the_fork_is_an_error(harness: Harness, process: str) -> None:
    """The message names the place where it belongs. Nothing is registered."""
    num = Unregistered.LATE
    assert "where the application is loaded" in harness.call(process, register_late, num)
    assert harness.call(process, registered, num) is False


@guarantee("S12", Capability.LAZY_APPS)
def test_s12_targets_that_uwsgi_would_ignore_are_rejected(harness: Harness) -> None:
    """This happens with `--lazy-apps` only. The message gives the reason and the alternatives."""
    error = harness.call(FIRST, attempted, "lazy mule")
    assert isinstance(error, RegistrationError)
    assert "--lazy-apps" in str(error) and "--shared-pyimport" in str(error)


@guarantee("S13", Capability.LOADS_ONCE, Capability.SERVER)
def test_s13_a_send_before_the_server_is_ready_is_an_error(harness: Harness) -> None:
    """While the application is loaded, no process can receive signals."""
    error = harness.call(FIRST, attempted, "send")
    assert isinstance(error, ServerNotReady)
    assert "still loading" in str(error)


def hooks() -> list[str]:
    """Return the post-fork hooks that ran after a failing one."""
    from heliograph.testing.harness import app

    return app.HOOKS


@guarantee("hooks")
def test_hooks_run_in_each_process(harness: Harness) -> None:
    """`postfork_hooks.add()` adds a hook for every worker and mule. If one fails, the others still run."""
    for process in ("worker1", "mule1") if harness.can(Capability.MULES) else ("worker1", "worker2"):
        assert process in harness.call(process, hooks)
