"""What happens at signals. `heliograph.contrib.django` imports it in every process."""

from heliograph import Signal, engines, uwsgi

from .models import Order

CONFIRMED: dict[str, int] = {}
"""How many of each are confirmed, as this process knows it: pages ask no database."""

placed = Signal()
confirmed = Signal()


@placed.register_handler("mule1")
def confirm_orders() -> None:
    """In the mule: it may take its time, no page waits for it."""
    done = Order.objects.filter(confirmed=False).update(confirmed=True)
    print(f"{engines.current().identity}: {done} confirmed\n", end="", flush=True)
    confirmed.send()


@uwsgi.postfork_hooks.add()
@confirmed.register_handler("workers")
def count_orders() -> None:
    """In every web process, in a thread beside the requests; and once in each process when it begins."""
    CONFIRMED.clear()
    for what in Order.objects.filter(confirmed=True).values_list("what", flat=True):
        CONFIRMED[what] = CONFIRMED.get(what, 0) + 1
    print(f"{engines.current().identity}: {sum(CONFIRMED.values())} counted\n", end="", flush=True)
