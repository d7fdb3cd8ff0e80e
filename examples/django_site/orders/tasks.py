"""Signals and their handlers, and a task. `heliograph.contrib.django` imports this module in every process."""

from heliograph import Signal, engines, task, uwsgi

from .models import Order

CONFIRMED: dict[str, int] = {}
"""Item -> confirmed orders. Each process has its own copy, so pages need no database query."""

placed = Signal()
confirmed = Signal()


@placed.register_handler("mule1")
def confirm_orders() -> None:
    """Confirm all orders, in the mule. No request waits for it."""
    done = Order.objects.filter(confirmed=False).update(confirmed=True)
    print(f"{engines.current().identity}: {done} confirmed\n", end="", flush=True)
    confirmed.send()


@uwsgi.postfork_hooks.add()
@confirmed.register_handler("workers")
def count_orders() -> None:
    """Count the confirmed orders, in a thread of every web worker, and in each process when it starts."""
    CONFIRMED.clear()
    for what in Order.objects.filter(confirmed=True).values_list("what", flat=True):
        CONFIRMED[what] = CONFIRMED.get(what, 0) + 1
    print(f"{engines.current().identity}: {sum(CONFIRMED.values())} counted\n", end="", flush=True)


@task(retries=5, backoff=10)
def mail_confirmation(number: int, to: str) -> None:
    """Mail the confirmation of an order, in the spooler. The task is stored, so it survives every restart."""
    order = Order.objects.get(pk=number)
    print(f"{engines.current().identity}: mail to {to}: you have ordered {order}\n", end="", flush=True)
