"""Types of tasks: `enqueue` takes the arguments of the function, and a context is none of them."""

from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from heliograph import (
    NoRetry,
    Retry,
    Task,
    TaskContext,
    TaskResult,
    TaskStatus,
    aget_result,
    get_result,
    progress,
    register_cron,
    task,
)


@task
def send_mail(to: str, subject: str = "", *, urgent: bool = False) -> str:
    return f"{to} {subject} {urgent}"


@task(retries=5, backoff=timedelta(seconds=10), rate="10/m", target="mule", name="shop:report")
def report(context: TaskContext, day: datetime) -> int:
    context.progress(1, 2, "half")
    progress(2, 2)
    if context.attempt < 2:
        raise Retry(after=timedelta(minutes=1))
    return day.year


@task(retries=3, retry_on=(ConnectionError, TimeoutError))
def pay(cents: int) -> None:
    raise NoRetry("declined")


@task(retries=3, retry_on=ConnectionError)
def refund(cents: int) -> None: ...


@task()
async def fetch(url: str) -> bytes:
    return url.encode()


# The decorated function keeps its signature, without the context.

assert_type(send_mail("a@example.org", urgent=True), str)
assert_type(report(datetime.now(UTC)), int)
assert_type(send_mail.enqueue("a@example.org", "Hello"), TaskResult)
assert_type(report.enqueue(day=datetime.now(UTC)), TaskResult)
assert_type(send_mail.enqueue_many([("a@example.org",), {"to": "b@example.org"}]), list[TaskResult])
assert_type(send_mail.using(priority=5).enqueue("a@example.org"), TaskResult)
assert_type(send_mail.name, str)

send_mail(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
send_mail.enqueue()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
send_mail.enqueue("a", "b", "c")  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
send_mail.enqueue(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
send_mail.enqueue("a", urgnt=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
report.enqueue("today")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fetch.enqueue(b"url")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Options are known by name and type.

send_mail.using(run_after=timedelta(minutes=1), unique="k", expires=datetime.now(UTC))
send_mail.using(run_after=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
send_mail.using(priorty=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
task(retries="5")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
task(retry=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
register_cron(hour=3, target=send_mail)


# Results.


async def use() -> None:
    result = await send_mail.aenqueue("a@example.org")
    assert_type(result, TaskResult)
    assert_type(await result, TaskResult)
    assert_type(await aget_result(result.id), TaskResult)
    assert_type(await send_mail.aenqueue_many([("a@example.org",)]), list[TaskResult])
    assert_type(await fetch("url"), bytes)
    await result.arefresh()


def look(result: TaskResult, some: Task[..., Any]) -> None:
    assert_type(get_result(result.id), TaskResult)
    assert_type(result.status, TaskStatus)
    assert_type(result.status.is_finished, bool)
    assert_type(result.return_value, Any)
    assert_type(result.finished_at, datetime | None)
    assert_type(result.errors[0].traceback, str)
    assert_type(result.worker_ids, list[str])
    assert_type(result.wait(timeout=5), TaskResult)
    assert_type(result.cancel(), bool)
    some.enqueue(1, 2, three=3)
