"""The pages."""

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET, require_POST

from heliograph import uwsgi

from .models import Order
from .tasks import CONFIRMED, mail_confirmation, placed


@require_GET
def totals(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """Return the confirmed orders from the memory of this worker."""
    return JsonResponse({"worker": uwsgi.worker_id, "confirmed": CONFIRMED})


@require_POST
def order(request: HttpRequest, what: str) -> HttpResponse:
    """Store an order. Send the signal and enqueue the mail after the commit, so that they find the order."""
    with transaction.atomic():
        order = Order.objects.create(what=what)
        transaction.on_commit(placed.send)
        if to := request.GET.get("to"):
            transaction.on_commit(lambda: mail_confirmation.enqueue(order.pk, to))
    return HttpResponse(status=202)
