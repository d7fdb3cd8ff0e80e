"""Database models."""

from django.db import models


class Order(models.Model):
    """An order for one item."""

    what = models.SlugField()
    confirmed = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.what
