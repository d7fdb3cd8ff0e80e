"""The task queues to compare: how to start two processes of each, at its best documented setting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lib.processes import HERE, running, session, tail
from lib.task_counters import FOLDER_ENV

POLL = 0.01
"""Seconds between the looks of a worker that polls."""

_WEB_SERVER_TIMEOUT = 60.0
"""Seconds."""

_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class TaskQueue:
    """A task queue."""

    name: str
    app: str
    """Module in `lib.task_apps`."""
    commands: Callable[[Path], Sequence[Sequence[str]]]
    """Return the commands that together start two processes that run tasks."""
    package: str
    """The module that must be installed."""
    tasks: int
    """Number of tasks to enqueue one by one. Two processes run them in about a second."""
    bulk: int = 0
    """Number of tasks to enqueue in calls of 1,000, in addition."""
    redis: bool = False
    native: bool = False
    """True: not written in Python."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    web_server: tuple[str, ...] = ()
    """The command of a server that starts the command after it as its web server. Its processes may wake others
    directly, as those of a web application do. (): the queue has no such server.
    """

    @property
    def module(self) -> str:
        """Name of the application's module."""
        return f"lib.task_apps.{self.app}"

    def variables(self, folder: Path) -> dict[str, str]:
        """Return the environment of the client and the workers."""
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        own = {FOLDER_ENV: str(folder), "BENCH_POLL": str(POLL), "PYTHONPATH": path}
        run, state = folder / "run", folder / "state"
        for directory in run, state:
            directory.mkdir(mode=0o700, exist_ok=True)
        return own | {"XDG_RUNTIME_DIR": str(run), "XDG_STATE_HOME": str(state)} | dict(self.environment)


def _program(name: str, *arguments: str) -> Callable[[Path], Sequence[Sequence[str]]]:
    return lambda _folder: [[str(_BIN / name), *arguments]]


def _modules(name: str, count: int) -> Callable[[Path], Sequence[Sequence[str]]]:
    return lambda _folder: [[sys.executable, "-m", f"lib.task_apps.{name}"]] * count


def _rq(folder: Path) -> Sequence[Sequence[str]]:
    command = [str(_BIN / "rq"), "worker-pool", "--num-workers", "2", "--worker-class", "rq.SimpleWorker", "--quiet"]
    return [[*command, "--url", f"unix://{folder / 'redis.sock'}", "bench"]]


_CELERY = ("worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "ERROR")
_NO_CELERY_EVENTS = ("--without-gossip", "--without-mingle", "--without-heartbeat")
_HUEY = ("--quiet", "--worker-type", "process", "--workers", "2", "--delay", str(POLL), "--max-delay", str(POLL))

SERVER = "bench-tasks"
"""Name of the heliograph server. Its sockets and its store are in the directory of the run."""

_MODULE = "lib.task_apps.heliograph_app"
_RUN = (sys.executable, "-m", "heliograph", "run", _MODULE)
_HELIOGRAPH = (*_RUN, "--workers", "0", "--mules", "2")


def heliograph(sync: str, tasks: int, bulk: int) -> TaskQueue:
    """Return heliograph with a value of `--task-sync`."""
    return TaskQueue(
        f"heliograph, {sync}",
        "heliograph_app",
        lambda _folder: [_HELIOGRAPH],
        "heliograph.tasks",
        tasks,
        bulk,
        environment={"HELIOGRAPH_NAME": SERVER, "HELIOGRAPH_TASK_SYNC": sync},
        web_server=(*_RUN, "--mules", "2", "--"),
    )


PROCESS, DISK = heliograph("process", 20_000, 40_000), heliograph("disk", 4000, 40_000)

PEERS = (
    TaskQueue("RQ", "rq_app", _rq, "rq", 400, redis=True),
    TaskQueue(
        "Celery",
        "celery_app",
        _program("celery", "--app", "lib.task_apps.celery_app", *_CELERY, *_NO_CELERY_EVENTS),
        "celery",
        1000,
        redis=True,
    ),
    TaskQueue(
        "Dramatiq",
        "dramatiq_app",
        _program("dramatiq", "--processes", "2", "--threads", "1", "--skip-logging", "lib.task_apps.dramatiq_app"),
        "dramatiq",
        8000,
        redis=True,
        environment={"dramatiq_queue_prefetch": "64"},
    ),
    TaskQueue(
        "taskiq",
        "taskiq_app",
        _program("taskiq", "worker", "--workers", "2", "--log-level", "ERROR", "lib.task_apps.taskiq_app:broker"),
        "taskiq_redis",
        6000,
        redis=True,
    ),
    TaskQueue(
        "Huey, Redis",
        "huey_app",
        _program("huey_consumer", "lib.task_apps.huey_app.huey", *_HUEY),
        "huey",
        6000,
        redis=True,
        environment={"BENCH_HUEY": "redis"},
    ),
    TaskQueue(
        "Huey, SQLite, no sync",
        "huey_app",
        _program("huey_consumer", "lib.task_apps.huey_app.huey", *_HUEY),
        "huey",
        20_000,
        environment={"BENCH_HUEY": "off"},
    ),
    TaskQueue(
        "Huey, SQLite, fsync",
        "huey_app",
        _program("huey_consumer", "lib.task_apps.huey_app.huey", *_HUEY),
        "huey",
        3000,
        environment={"BENCH_HUEY": "fsync"},
    ),
    TaskQueue("django-tasks-db", "django_app", _modules("django_app", 2), "django_tasks_db", 300),
    TaskQueue("firm-queue", "firm_app", _modules("firm_app", 1), "firm", 800),
    TaskQueue(
        "localqueue, relaxed",
        "localqueue_app",
        _modules("localqueue_app", 2),
        "localqueue",
        8000,
        native=True,
        environment={"BENCH_DURABILITY": "RELAXED"},
    ),
    TaskQueue(
        "localqueue, durable",
        "localqueue_app",
        _modules("localqueue_app", 2),
        "localqueue",
        2000,
        native=True,
        environment={"BENCH_DURABILITY": "DURABLE"},
    ),
)


def missing(queue: TaskQueue) -> str:
    """Return why a queue cannot be measured here, "" if it can."""
    if find_spec(queue.package) is None:
        return f"{queue.package} is not installed (pip install --group bench-tasks)"
    return ""


def ask(queue: TaskQueue | None, folder: Path, measurement: str, count: int = 0) -> dict[str, Any]:
    """Run a measurement in a client process. Without a queue: one of the machine.

    Raises `CalledProcessError` if it fails.
    """
    command = _client(queue, measurement, count)
    environment = os.environ | (queue.variables(folder) if queue else {FOLDER_ENV: str(folder)})
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=HERE, env=environment)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def ask_web_server(queue: TaskQueue, folder: Path, measurement: str, count: int) -> dict[str, Any]:
    """Run a measurement in a process of the queue's web server, with two processes that run tasks.

    Raises:
        RuntimeError: The server did not run the measurement.
    """
    log, deadline = folder / "web.log", time.monotonic() + _WEB_SERVER_TIMEOUT
    with running([*queue.web_server, *_client(queue, measurement, count)], log, queue.variables(folder)) as process:
        while process.poll() is None and time.monotonic() < deadline:
            for line in log.read_text().splitlines(keepends=True):
                if line.startswith("{") and line.endswith("\n"):
                    answer: dict[str, Any] = json.loads(line)
                    return answer
            time.sleep(0.05)
    raise RuntimeError(f"{queue.name}: {measurement} did not end\n{tail(log)}")


def _client(queue: TaskQueue | None, measurement: str, count: int) -> list[str]:
    return [sys.executable, "-m", "lib.task_client", queue.module if queue else "-", measurement, str(count)]


@contextmanager
def workers(queue: TaskQueue, folder: Path) -> Generator[Callable[[], list[int]]]:
    """Start two processes that run tasks. Return a function that lists the ids of all processes of the server."""
    with ExitStack() as stack:
        leaders = [
            stack.enter_context(running(command, folder / f"log{number}", queue.variables(folder))).pid
            for number, command in enumerate(queue.commands(folder))
        ]
        try:
            yield lambda: [pid for leader in leaders for pid in session(leader)]
        except RuntimeError as error:
            logs = "\n".join(tail(log) for log in sorted(folder.glob("log*")))
            raise RuntimeError(f"{queue.name}: {error}\n{logs}") from error
