from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

def method_decorator(decorator: Any, name: str = ...) -> Callable[[_F], _F]: ...
