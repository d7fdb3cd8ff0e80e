from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.tasks.base import Task, TaskResult

class BaseTaskBackend:
    alias: str
    queues: set[str]
    options: dict[str, Any]
    task_class: type[Task]
    supports_defer: bool
    supports_async_task: bool
    supports_get_result: bool
    supports_priority: bool
    def __init__(self, alias: str, params: Mapping[str, Any]) -> None: ...
    def validate_task(self, task: Task) -> None: ...
    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult: ...
    def get_result(self, result_id: str) -> TaskResult: ...
    def check(self, **kwargs: Any) -> Iterable[Any]: ...
