"""The decorators of the spooler and of mules keep the parameters of the function."""

from datetime import timedelta
from typing import assert_type

from heliograph import uwsgi
from heliograph.runtime.mules import Farm, Mule, mule_offload
from heliograph.runtime.spooler import ResultRescheduled, Spooler, SpoolerTask


@Spooler.task(priority=5, postpone=timedelta(minutes=1))
def resize(path: str, width: int = 100) -> ResultRescheduled | None:
    return None


@Spooler("spool").task(allow_pickle=True)
async def fetch(url: str) -> None: ...


@mule_offload(2)
def count(number: int) -> None: ...


@Farm("crunchers").offload()
def crunch(number: int) -> int:
    return number


@mule_offload
def tally(number: int) -> None: ...


@Mule(1).offload
def weigh(number: int) -> None: ...


@Spooler.task
def rotate(path: str) -> int:
    return uwsgi.SPOOL_RETRY


class Order(SpoolerTask):
    type_id = "order"

    def process(self) -> ResultRescheduled:
        return self.mark_rescheduled()


assert_type(resize("cat.png", width=200), str)
assert_type(fetch("url"), str)
assert_type(count(3), bool)
assert_type(crunch(3), bool)
assert_type(tally(3), bool)
assert_type(weigh(3), bool)
assert_type(rotate("cat.png"), str)
tally("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
resize(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
count("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Spooler.task(5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]

assert_type(Spooler.send_message_raw("hello", payload=[1]), str)
assert_type(Spooler.send_message_raw(**Order.build_message(payload=[1])), str)
assert_type(Spooler.get_spoolers(), list[Spooler])
assert_type(Spooler.get_by_basename("spool"), Spooler | None)
assert_type(Spooler.get_pids(), list[int])
assert_type(Spooler.get_tasks(), list[str])
assert_type(Mule(1).send(b"hello"), bool)
assert_type(Mule.get_message(signals=True, farms=False, buffer_size=65536, timeout=-1), str)
assert_type(Farm.get_message(), str)
