"""The promises on a real uWSGI server: as it comes, loading the application in each worker, and with threads."""

import pytest

from heliograph.testing.conformance import *  # noqa: F403
from heliograph.testing.stage.plays import uwsgi_stage

FLAGS = {"plain": (), "lazy": ("--lazy-apps", "--shared-pyimport", "heliograph.preload"), "threads": ("--threads", "2")}


@pytest.fixture(scope="module", params=sorted(FLAGS))
def stage(request, tmp_path_factory):
    """One server serves all tests of a mode."""
    with uwsgi_stage(tmp_path_factory.mktemp("stage"), request.param, *FLAGS[request.param]) as stage:
        yield stage
