"""firm-queue with SQLite. It sets WAL and NORMAL itself. Finished jobs are deleted.

A worker waits for `poll_interval` between two batches of as many jobs as it has threads, and a second when it is idle.
"""

import firm.queue as firm
from firm.queue import schema
from firm.queue.supervisor import ForkSupervisor, SupervisorConfig, WorkerConfig

from lib import task_work
from lib.task_work import ARGUMENTS, FOLDER

_RUNTIME = firm.configure(database_url=f"sqlite:///{FOLDER / 'firm.db'}", preserve_finished_jobs=False)

_count = firm.job()(task_work.count)
_stamp = firm.job()(task_work.stamp)


def setup() -> None:
    """Make the tables."""
    schema.create_all(_RUNTIME.engine)


def enqueue(number: int) -> None:
    """Enqueue tasks one by one."""
    for _ in range(number):
        _count.enqueue(*ARGUMENTS)


def enqueue_timed() -> None:
    """Enqueue the timed task."""
    _stamp.enqueue(*ARGUMENTS)


if __name__ == "__main__":
    worker = WorkerConfig(threads=32, poll_interval=0.001)
    ForkSupervisor(_RUNTIME, SupervisorConfig(workers=[worker, worker])).start()
