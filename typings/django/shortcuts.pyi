from typing import Any

from django.http import HttpRequest, HttpResponse

def render(request: HttpRequest, name: str, context: dict[str, Any], /) -> HttpResponse: ...
