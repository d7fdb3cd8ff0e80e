"""The guarantees on the inline engine."""

import pytest

from heliograph.testing.conformance import *  # noqa: F403
from heliograph.testing.harness.inline import inline_harness


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    """One inline engine for all tests."""
    with inline_harness(tmp_path_factory.mktemp("harness")) as harness:
        yield harness
