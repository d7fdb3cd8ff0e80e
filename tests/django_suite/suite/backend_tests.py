"""Django's own tests of its task backends, with heliograph's instead of them.

The tests that are excluded demand a class of Django by name, or that a backend cannot do what this one can.
"""

import unittest
from unittest import mock

from django.tasks import default_task_backend
from django.test import override_settings
from suite_backends import new_store
from tasks import test_dummy_backend, test_immediate_backend, test_tasks

from heliograph import engines
from heliograph.testing.inline import inline_engine

STORED = {"BACKEND": "suite_backends.StoredBackend"}
INLINE = {"BACKEND": "suite_backends.InlineBackend"}

DUMMY, IMMEDIATE = "django.tasks.backends.dummy.DummyBackend", "django.tasks.backends.immediate.ImmediateBackend"

EXCLUDED = {
    "TaskTestCase": {
        "test_using_correct_backend": "wants a DummyBackend",
        "test_get_backend": "wants a DummyBackend",
    },
    "DummyBackendTestCase": {
        "test_using_correct_backend": "wants a DummyBackend",
    },
    "ImmediateBackendTestCase": {
        "test_using_correct_backend": "wants an ImmediateBackend",
        "test_cannot_get_result": "wants a backend without get_result()",
        "test_cannot_refresh_result": "wants a backend without get_result()",
        "test_cannot_pass_run_after": "wants a backend without run_after",
    },
}


def excluding(case):
    """Decorator: exclude tests of Django by name."""
    for name in EXCLUDED.get(case.__name__, {}):
        assert callable(getattr(case, name)), name
        setattr(case, name, None)
    return case


class Settings(override_settings):
    """`override_settings` in the tests of Django, with heliograph's backend in place of Django's."""

    def __init__(self, **options):
        for params in options.get("TASKS", {}).values():
            if params["BACKEND"] == self.replaced:
                params["BACKEND"] = self.backend
        super().__init__(**options)


class StoredSettings(Settings):
    replaced, backend = DUMMY, STORED["BACKEND"]


class InlineSettings(Settings):
    replaced, backend = IMMEDIATE, INLINE["BACKEND"]


class OnStore:
    """Tests with a new store on disk each."""

    def setUp(self):
        self.addCleanup(setattr, engines, "active", engines.active)
        new_store()
        self.enterContext(mock.patch.object(test_dummy_backend, "override_settings", StoredSettings))
        super().setUp()


class Inline:
    """Tests with a new inline engine each."""

    def setUp(self):
        self.enterContext(inline_engine())
        self.enterContext(mock.patch.object(test_immediate_backend, "override_settings", InlineSettings))
        super().setUp()


@excluding
@override_settings(
    TASKS={
        "default": {**STORED, "QUEUES": ["default", "queue_1"]},
        "immediate": {"BACKEND": IMMEDIATE, "QUEUES": []},
        "missing": {"BACKEND": "does.not.exist"},
    }
)
class TaskTestCase(OnStore, test_tasks.TaskTestCase):
    pass


@excluding
@override_settings(TASKS={"default": {**STORED, "QUEUES": []}})
class DummyBackendTestCase(OnStore, test_dummy_backend.DummyBackendTestCase):
    pass


class DummyBackendTransactionTestCase(OnStore, test_dummy_backend.DummyBackendTransactionTestCase):
    @override_settings(TASKS={"default": STORED})
    def test_doesnt_wait_until_transaction_commit_by_default(self):
        default_task_backend.clear()
        unwrapped = test_dummy_backend.DummyBackendTransactionTestCase
        unwrapped.test_doesnt_wait_until_transaction_commit_by_default.__wrapped__(self)


@excluding
@override_settings(TASKS={"default": {**INLINE, "QUEUES": []}})
class ImmediateBackendTestCase(Inline, test_immediate_backend.ImmediateBackendTestCase):
    pass


class ImmediateBackendTransactionTestCase(Inline, test_immediate_backend.ImmediateBackendTransactionTestCase):
    @override_settings(TASKS={"default": INLINE})
    def test_doesnt_wait_until_transaction_commit_by_default(self):
        unwrapped = test_immediate_backend.ImmediateBackendTransactionTestCase
        unwrapped.test_doesnt_wait_until_transaction_commit_by_default.__wrapped__(self)


def load_tests(loader, tests, pattern):
    """Load the classes of this module, and print how many tests of Django they exclude."""
    excluded = [f"{case}.{name}: {why}" for case, names in EXCLUDED.items() for name, why in names.items()]
    print(*sorted(excluded), f"excluded: {len(excluded)}", sep="\n")
    return unittest.TestSuite(tests)
