from django.tasks.backends.base import BaseTaskBackend
from django.tasks.base import Task, TaskContext, TaskResult, TaskResultStatus

class TaskBackendHandler:
    def __getitem__(self, alias: str) -> BaseTaskBackend: ...
    def all(self) -> list[BaseTaskBackend]: ...

task_backends: TaskBackendHandler

__all__ = ["Task", "TaskContext", "TaskResult", "TaskResultStatus", "task_backends"]
