"""The guarantees on a real uWSGI server: plain, with `--lazy-apps`, and with `--threads`."""

import pytest

from heliograph.testing.conformance import *  # noqa: F403
from heliograph.testing.harness.servers import uwsgi_harness

pytestmark = pytest.mark.needs("uwsgi")

FLAGS = {"plain": (), "lazy": ("--lazy-apps", "--shared-pyimport", "heliograph.preload"), "threads": ("--threads", "2")}


@pytest.fixture(scope="module", params=sorted(FLAGS))
def harness(request, tmp_path_factory):
    """One server for all tests of a mode."""
    with uwsgi_harness(tmp_path_factory.mktemp("harness"), request.param, *FLAGS[request.param]) as harness:
        yield harness
