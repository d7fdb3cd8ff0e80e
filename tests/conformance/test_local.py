"""The promises on our own server: forked from a template, and loading the application in each process."""

import pytest

from heliograph.testing.conformance import *  # noqa: F403
from heliograph.testing.harness.harness import local_harness

GUNICORN = ["gunicorn", "-w", "2", "-b", "unix:web.sock", "--no-control-socket", "heliograph.testing.harness.app"]
OPTIONS = {"plain": {}, "lazy": {"lazy_apps": True}, "beside": {"command": GUNICORN}}


@pytest.fixture(scope="module", params=sorted(OPTIONS))
def harness(request, tmp_path_factory):
    """One server serves all tests of a mode."""
    with local_harness(tmp_path_factory.mktemp("stage"), request.param, **OPTIONS[request.param]) as harness:
        yield harness
