"""A module that is run by its path."""

from shop.tasks import refresh_prices

__all__ = ["refresh_prices"]
