"""An engine that records which processes join and leave, and a Django project in this process."""

import importlib.util
import os
import sys
import threading
import time
import types

import pytest

from heliograph import engines
from heliograph.engines.detached import DetachedEngine
from heliograph.runtime import handlers


class Joinable(DetachedEngine):
    """Any process may join."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.leaving, self.may_leave = threading.Event(), threading.Event()
        self.may_leave.set()

    @property
    def joins(self):
        return len([event for event in self.seen if isinstance(event, tuple) and event[0] == "join"])

    def join(self, loop=None, *, at_request=False):
        self.seen.append(("join", loop, "at a request") if at_request else ("join", loop))
        return True

    def leave(self):
        self.leaving.set()
        assert self.may_leave.wait(10)
        self.seen.append(("leave", threading.current_thread() is threading.main_thread()))


@pytest.fixture
def engine():
    """The engine of this process, for the test."""
    with engines.using(Joinable()):
        yield engines.current()


@pytest.fixture(scope="session")
def _django():
    """Configure Django, once in a process."""
    import django
    from django.conf import settings

    pages = {
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ]
    }
    settings.configure(
        SECRET_KEY="tests-only",
        USE_TZ=True,
        TIME_ZONE="Asia/Tokyo",
        INSTALLED_APPS=[
            *(f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions", "messages")),
            *(["django_tasks"] if importlib.util.find_spec("django_tasks") and django.VERSION < (6, 0) else []),
            "heliograph.contrib.django",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        **pages,
        STATIC_URL="static/",
        ROOT_URLCONF="heliograph_test_urls",
        ALLOWED_HOSTS=["testserver"],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        TASKS={"default": {"BACKEND": "heliograph.contrib.django.tasks.Backend"}},
    )
    django.setup()
    from django.contrib import admin
    from django.urls import path

    urls = sys.modules["heliograph_test_urls"] = types.ModuleType("heliograph_test_urls")
    urls.urlpatterns = [path("admin/", admin.site.urls)]


@pytest.fixture(scope="module")
def django_project(request):
    """A Django project in this process, without any effect on the tests of other modules."""
    wrappers, zone = list(handlers._WRAPPERS), os.environ.get("TZ")
    request.getfixturevalue("_django")
    from heliograph.contrib.django import connections

    handlers._WRAPPERS[:] = wrappers
    connections._MANAGED.clear()
    connections.manage_connections()
    yield
    handlers._WRAPPERS[:] = wrappers
    connections._MANAGED.clear()
    os.environ.pop("TZ", None)
    if zone is not None:
        os.environ["TZ"] = zone
    time.tzset()
