"""The promises on the inline engine."""

import pytest

from heliograph.testing.conformance import *  # noqa: F403
from heliograph.testing.stage.plays import inline_stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """One process that plays all."""
    with inline_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage
