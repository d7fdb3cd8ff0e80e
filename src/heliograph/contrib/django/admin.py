"""Pages in Django's admin that list the tasks of the server, retry and cancel them. They read the store directly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from heliograph._core.tasks.values import TaskStatus
from heliograph.contrib.django.models import Task
from heliograph.exceptions import UwsgiconfException
from heliograph.tasks.hosting import now, store, wake
from heliograph.tasks.results import TaskResult, get_result

_Read = Callable[[HttpRequest], dict[str, Any]]
"""Reads what a page shows."""

PAGE = 50
"""Tasks on a page."""

_ALLOWED = (csrf_protect, require_http_methods(["GET", "HEAD", "POST"]))


@admin.register(Task)
class TaskAdmin(admin.ModelAdmin):
    """The list of tasks, and the page of one task."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="heliograph_task_changelist"),
            path("<path:object_id>/change/", view(self.change_view), name="heliograph_task_change"),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    @method_decorator(_ALLOWED)
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the newest tasks, or those that the filters choose. A POST retries or cancels the selected ones."""
        self._check(request)
        if request.method == "POST":
            self._act(request, request.POST.getlist("task"))
            return HttpResponseRedirect(request.get_full_path())
        return self._page(request, "change_list.html", self._list, {"title": "Tasks", **(extra_context or {})})

    @method_decorator(_ALLOWED)
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 - Django's signature
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a task with its arguments, attempts and errors. A POST retries or cancels it."""
        self._check(request)
        if request.method == "POST":
            self._act(request, [object_id])
            return HttpResponseRedirect(request.get_full_path())
        context = {"title": f"Task {object_id}", **(extra_context or {})}
        return self._page(request, "change_form.html", lambda _request: _details(object_id), context)

    def _check(self, request: HttpRequest) -> None:
        """Raise PermissionDenied, unless the user may view tasks, or change them if this is a POST."""
        if not (self.has_change_permission(request) if request.method == "POST" else self.has_view_permission(request)):
            raise PermissionDenied

    def _page(
        self,
        request: HttpRequest,
        file: str,
        read: Callable[[HttpRequest], dict[str, Any]],
        context: dict[str, Any],
    ) -> HttpResponse:
        try:
            found = read(request)
        except (UwsgiconfException, OSError) as error:
            found = {"fault": str(error)}
        allowed = {"may_change": self.has_change_permission(request), "opts": self.model._meta}  # noqa: SLF001 - public
        values = {**self.admin_site.each_context(request), **allowed, **context, **found}
        return render(request, f"admin/heliograph/task/{file}", values)

    def _list(self, request: HttpRequest) -> dict[str, Any]:
        chosen = {name: request.GET.get(name) or None for name in ("status", "name", "target", "after")}
        known = {status.value for status in TaskStatus}
        statuses = [TaskStatus(chosen["status"])] if chosen["status"] in known else []
        wanted = {name: chosen[name] for name in ("name", "target", "after")}
        rows = store().find(statuses=statuses, limit=PAGE + 1, **wanted)
        next_page = request.GET.copy()
        next_page["after"] = rows[PAGE - 1].id if len(rows) > PAGE else ""
        counts: dict[str, int] = {}
        for (_, _, status), count in store().counts(now()).items():
            counts[status.value] = counts.get(status.value, 0) + count
        return {
            "tasks": [TaskResult(row.id, row) for row in rows[:PAGE]],
            "counts": [(status.value, counts.get(status.value, 0)) for status in TaskStatus],
            "chosen": chosen,
            "next_page": next_page.urlencode() if len(rows) > PAGE else "",
        }

    def _act(self, request: HttpRequest, task_ids: Sequence[str]) -> None:
        action = _ACTIONS.get(request.POST.get("action", ""))
        if action is None or not task_ids:
            messages.warning(request, "Nothing was changed: choose an action and at least one task.")
            return
        done, refused = 0, list[str]()
        for task_id in task_ids:
            try:
                result = get_result(task_id)
                reason = action.act(result)
            except (UwsgiconfException, OSError) as error:
                refused.append(str(error))
                continue
            if reason:
                refused.append(f"{task_id}: {reason}")
            else:
                done += 1
                self.log_change(request, Task(id=task_id, name=result.name), action.text)
        if done:
            messages.success(request, f"{done} {'task' if done == 1 else 'tasks'}: {action.text}")
        for text in refused:
            messages.error(request, text)


class _Action(msgspec.Struct, frozen=True):
    text: str
    act: Callable[[TaskResult], str]
    """Acts on a task. Returns the reason why it did not, if it did not."""


def _retry(result: TaskResult) -> str:
    refused = store().retry([result.id], now())
    wake(result.target)
    return refused.get(result.id, "")


def _cancel(result: TaskResult) -> str:
    return "" if result.cancel() else f"not cancelled, since it is {result.status}"


_ACTIONS = {"retry": _Action("Retried.", _retry), "cancel": _Action("Cancelled.", _cancel)}


def _details(task_id: str) -> dict[str, Any]:
    try:
        result = get_result(task_id)
    except LookupError as error:
        raise Http404(str(error)) from error
    value = result.return_value if result.status is TaskStatus.SUCCESSFUL else None
    return {
        "task": result,
        "arguments": _json([result.args, result.kwargs]),
        "value": _json(value),
        "back": reverse("admin:heliograph_task_changelist"),
    }


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value)).decode()
