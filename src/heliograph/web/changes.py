"""Retry and cancel: the requests that change something. They need the token, and come from this page or no page."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from heliograph.exceptions import UwsgiconfException
from heliograph.settings.token_file import TokenFile
from heliograph.web.readings import Readings
from heliograph.web.task_lists import TaskListReader

_NO_TASKS = "the server does not answer, or has no tasks."
_DONE = {"retry": "will run again", "cancel": "is cancelled"}


def refusal(request: Request, tokens: TokenFile | None) -> Response | None:
    """Return the answer to a request that may not change anything, None if it may."""
    if tokens is None:
        return _error(403, "this page only reads. Start the server with --http-token-file FILE.")
    if not _is_same_origin(request):
        return _error(403, "the request comes from another site.")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() == "bearer" and tokens.accepts(token.strip()):
            return None
    except ValueError as error:
        return _error(403, f"{error}.")
    problem = "the token is wrong." if token else "a token is needed: Authorization: Bearer TOKEN."
    return _error(401, problem, {"WWW-Authenticate": "Bearer"})


async def change(
    request: Request, action: Literal["retry", "cancel"], readings: Readings, store: TaskListReader
) -> Response:
    """Retry or cancel the task that the request names."""
    task_id = request.path_params["task"]
    directory = await _directory(readings)
    if directory is None:
        return _error(503, _NO_TASKS)
    work = store.retry if action == "retry" else store.cancel
    try:
        reason = await run_in_threadpool(work, directory, task_id)
    except (UwsgiconfException, OSError) as error:
        return _error(503, str(error))
    if reason:
        return _error(409, f"{task_id}: {reason}.")
    return JSONResponse({"result": f"Task {task_id} {_DONE[action]}."})


async def retry_failed(request: Request, readings: Readings, store: TaskListReader) -> Response:
    """Retry all failed tasks of the function that the request names."""
    name = request.query_params.get("task", "")
    if not name:
        return _error(400, "no function is named. Add ?task=NAME to the address.")
    directory = await _directory(readings)
    if directory is None:
        return _error(503, _NO_TASKS)
    try:
        number = await run_in_threadpool(store.retry_failed, directory, name)
    except (UwsgiconfException, OSError) as error:
        return _error(503, str(error))
    if not number:
        return _error(409, f"{name} has no failed task.")
    return JSONResponse({"result": f"{number} task{'s' * (number != 1)} of {name} will run again."})


async def _directory(readings: Readings) -> str | None:
    """Return the directory of the tasks, None if it is not known."""
    state = (await readings.current()).state
    return None if state is None or state.store is None else state.store.directory


def _is_same_origin(request: Request) -> bool:
    """Return False for a request that a page of another site makes. Programs send neither header."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != ""
    except ValueError:
        return False


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": text}, status, headers)
