"""The conformance suite is part of the package. pytest explains failed assertions in its modules too."""

import pytest

for module in (
    "calls",
    "call_actions",
    "coalescing",
    "delivery",
    "remote",
    "requirements",
    "signals",
    "targets",
    "task_actions",
    "tasks",
    "triggers",
    "waiting",
):
    pytest.register_assert_rewrite(f"heliograph.testing.conformance.{module}")
