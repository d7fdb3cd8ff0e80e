from collections.abc import Callable, Iterable
from typing import Any

def get_wsgi_application() -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]: ...
