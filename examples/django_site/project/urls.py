"""URLs of the site."""

from django.urls import path
from orders import views

urlpatterns = [
    path("", views.totals),
    path("orders/<slug:what>", views.order),
]
