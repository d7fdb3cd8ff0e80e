from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

class TaskResultStatus(StrEnum):
    READY = "READY"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    SUCCESSFUL = "SUCCESSFUL"

@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    func: Callable[..., Any]
    priority: int = ...
    backend: str = ...
    queue_name: str = ...
    run_after: datetime | None = ...
    takes_context: bool = ...
    def __post_init__(self) -> None: ...
    def using(self, **changes: Any) -> Task: ...
    @property
    def module_path(self) -> str: ...

@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError:
    exception_class_path: str
    traceback: str

@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    task: Task
    id: str
    status: TaskResultStatus
    enqueued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    last_attempted_at: datetime | None
    args: list[Any]
    kwargs: dict[str, Any]
    backend: str
    errors: list[TaskError]
    worker_ids: list[str]
    @property
    def is_finished(self) -> bool: ...

@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    task_result: TaskResult
