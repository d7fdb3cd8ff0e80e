"""Let the application enqueue its tasks, kill the server meanwhile, and look at the results from this process."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from heliograph import TaskResult, TaskStatus, get_result

from .reports import Outcome, Reports
from .server import SPOOL, Server
from .tasks import TASK_CASES, seconds_to_start


class Orders:
    """The tasks of one request, in the order of TASK_CASES."""

    def __init__(self, directory: Path) -> None:
        # The demo belongs to no server. With this variable it finds the tasks of the server, also after its stop.
        os.environ["HELIOGRAPH_SPOOLER"] = str(directory / SPOOL)
        self.results: list[TaskResult] = []

    def run(self, server: Server, reports: Reports, outcome: Outcome, deadline: float) -> None:
        """Order, kill the server when only the last task has not finished, and start the server again."""
        ids = _post_order(outcome.port, deadline)
        self.results = [get_result(ids[case.name]) for case in TASK_CASES]
        for case, result in zip(TASK_CASES, self.results, strict=True):
            if case.after_restart:
                _await_start(result, deadline)
                server.kill()
                outcome.forget_processes()
                server.start()
                reports.wait(server, deadline, "ready")
            result.wait(timeout=max(0.0, deadline - time.monotonic()))

    def correct_tasks(self) -> int:
        """Return how many tasks ran as they should."""
        return sum(case.correct(result) for case, result in zip(TASK_CASES, self.results, strict=False))

    def lines(self) -> Iterator[str]:
        """Yield the table of the tasks."""
        yield f"{'task':<8}  {'shows':<36}  {'status':<10}  {'attempts':<8}  {'last began':<10}  {'ran in'}"
        for case, result in zip(TASK_CASES, self.results, strict=False):
            began = f"{seconds_to_start(result):.3f} s"
            processes = ", ".join(result.worker_ids) or "none"
            verdict = "ok" if case.correct(result) else "WRONG"
            row = (
                f"{case.name:<8}  {case.shows:<36}  {result.status:<10}  {result.attempts:<8}  {began:<10}  {processes}"
            )
            yield f"{row}  {verdict}"


def _post_order(port: int, deadline: float) -> dict[str, str]:
    """Send the request to worker 1. Return the ids of the tasks by name."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=max(1.0, deadline - time.monotonic()))
    try:
        connection.request("POST", "/orders", "Ada")
        ids: dict[str, str] = json.load(connection.getresponse())
        return ids
    finally:
        connection.close()


def _await_start(result: TaskResult, deadline: float) -> None:
    while result.status is TaskStatus.READY and time.monotonic() < deadline:
        time.sleep(0.01)
        result.refresh()
