"""The suite lives in the package; its assertions explain themselves too."""

import pytest

for room in ("promises", "sending", "signals", "targets"):
    pytest.register_assert_rewrite(f"heliograph.testing.conformance.{room}")
