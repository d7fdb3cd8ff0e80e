"""The backend with what Django's tests expect of its own backends: `clear()`, `results`, and tasks that run at once."""

import os
import tempfile

from heliograph import engines
from heliograph.contrib.django.tasks import Backend
from heliograph.engines.detached import DetachedEngine
from heliograph.ipc.state_directory import SPOOLER_ENV, SYNC_ENV
from heliograph.runtime.tasks import RUNNER
from heliograph.tasks.hosting import store

KEPT = {}
"""Id -> a result that `results` has shown. Tests change these objects."""


def new_store():
    """Let this process use a new store on disk, as a program without a server does."""
    os.environ[SPOOLER_ENV] = tempfile.mkdtemp(dir=os.environ["SUITE_DIRECTORY"])
    os.environ[SYNC_ENV] = "process"
    engines.active = DetachedEngine()
    RUNNER.forget()
    KEPT.clear()


class StoredBackend(Backend):
    """Tasks wait in a store on disk. No process runs them."""

    def clear(self):
        """Forget all tasks."""
        new_store()

    @property
    def results(self):
        """The tasks that wait, in the order of enqueueing."""
        for row in reversed(store().find()):
            if row.id not in KEPT:
                KEPT[row.id] = super().get_result(row.id)
        return list(KEPT.values())

    def get_result(self, result_id):
        """Return a result. A test that has set the status of a result to SUCCESSFUL means that the task has run."""
        kept = KEPT.get(result_id)
        if kept is not None and kept.status == "SUCCESSFUL":
            RUNNER.turn("default")
        return super().get_result(result_id)


class InlineBackend(Backend):
    """Tasks run at once on the inline engine. The result that `enqueue` returns shows their end."""

    def enqueue(self, task, args, kwargs):
        result = super().enqueue(task, args, kwargs)
        result.refresh()
        return result
