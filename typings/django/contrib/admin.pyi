from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model
from django.http import HttpRequest

_T = TypeVar("_T")

class AdminSite:
    def admin_view(self, view: Callable[..., Any]) -> Callable[..., Any]: ...
    def each_context(self, request: HttpRequest) -> dict[str, Any]: ...

class ModelAdmin:
    admin_site: AdminSite
    model: type[Model]
    def has_view_permission(self, request: HttpRequest, obj: Any = ...) -> bool: ...
    def has_change_permission(self, request: HttpRequest, obj: Any = ...) -> bool: ...
    def log_change(self, request: HttpRequest, obj: Model, message: str) -> object: ...

def register(*models: type[Model]) -> Callable[[type[_T]], type[_T]]: ...
