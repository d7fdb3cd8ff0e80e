"""The promises on the inline engine."""

import pytest

from heliograph.testing.conformance import *  # noqa: F403
from heliograph.testing.harness.harness import inline_harness


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    """One process that plays all."""
    with inline_harness(tmp_path_factory.mktemp("stage")) as harness:
        yield harness
