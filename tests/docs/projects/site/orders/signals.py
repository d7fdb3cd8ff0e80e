"""A signal with its handler."""

from heliograph import Signal

placed = Signal(name="order-placed")


@placed.register_handler("worker")
def confirm() -> None:
    """Confirm the order."""
    print("order confirmed", flush=True)
