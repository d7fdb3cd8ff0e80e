"""What is in the database."""

from django.db import models


class Order(models.Model):
    """Something that somebody wants."""

    what = models.SlugField()
    confirmed = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.what
