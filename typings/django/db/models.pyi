from typing import Any

class Manager:
    def get_queryset(self) -> Any: ...

class CharField:
    def __init__(self, *, primary_key: bool = ..., max_length: int = ...) -> None: ...

class Model:
    _meta: Any
    def __init__(self, **values: object) -> None: ...
