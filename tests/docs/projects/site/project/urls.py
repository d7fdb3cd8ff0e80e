"""The addresses of the project."""

from django.http import HttpResponse
from django.urls import path
from orders.signals import placed


def order(_request: object) -> HttpResponse:
    """Take an order."""
    placed.send()
    return HttpResponse("accepted\n", status=202)


urlpatterns = [path("orders", order)]
