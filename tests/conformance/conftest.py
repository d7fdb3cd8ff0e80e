"""The suite lives in the package; its assertions explain themselves too."""

import pytest

for module in ("requirements", "sending", "signals", "targets"):
    pytest.register_assert_rewrite(f"heliograph.testing.conformance.{module}")
