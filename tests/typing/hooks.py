"""Hooks keep the types of their functions. mypy and pyright check this file. It does not run."""

from typing import assert_type

from heliograph import Failure, on_failure, on_start, on_stop
from heliograph.models import Identity, SignalDescription
from heliograph.tasks.context import TaskContext


@on_start
def connect() -> int:
    return 1


@on_start(roles="mule")
async def of_mule(process: Identity) -> None: ...


@on_stop(roles=("mule", "spooler"))
def disconnect(process: Identity) -> str:
    return process.role


@on_stop
async def close() -> None: ...


@on_failure
def report(failure: Failure) -> bool:
    assert_type(failure.error, BaseException)
    assert_type(failure.signal, SignalDescription | None)
    assert_type(failure.task, TaskContext | None)
    assert_type(failure.is_final, bool)
    assert_type(failure.name, str)
    return True


assert_type(connect(), int)
assert_type(disconnect(Identity("mule", 1)), str)
assert_type(report(Failure(ValueError())), bool)


async def check() -> None:
    assert_type(await of_mule(process=Identity("mule", 1)), None)
    assert_type(await close(), None)


on_start(roles=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
on_start(lambda _one, _two: None)  # type: ignore[type-var]  # pyright: ignore[reportCallIssue, reportArgumentType]
on_failure(lambda: None)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
