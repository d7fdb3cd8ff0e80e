"""The conformance suite is part of the package. pytest explains failed assertions in its modules too."""

import pytest

for module in (
    "call_actions",
    "coalescing",
    "delivery",
    "life",
    "remote",
    "requirements",
    "signals",
    "targets",
    "task_actions",
    "tasks",
    "triggers",
    "uwsgiconf_names",
    "waiting",
):
    pytest.register_assert_rewrite(f"heliograph.testing.conformance.{module}")
