"""The guarantees on the heliograph server: plain, with `--lazy-apps`, and with gunicorn as its web server."""

import pytest

from heliograph.testing.conformance import *  # noqa: F403
from heliograph.testing.harness.servers import local_harness

GUNICORN = ["gunicorn", "-w", "2", "-b", "unix:web.sock", "--no-control-socket", "heliograph.testing.harness.app"]
GEVENT = [*GUNICORN, "-k", "gevent"]
OPTIONS = {
    "plain": {},
    "lazy": {"lazy_apps": True},
    "webserver": {"command": GUNICORN},
    "gevent": {"command": GEVENT},
}


WEB_SERVER = pytest.param("webserver", marks=pytest.mark.needs("gunicorn"))
GREENLETS = pytest.param("gevent", marks=pytest.mark.needs("gunicorn", "gevent"))


@pytest.fixture(scope="module", params=["lazy", "plain", WEB_SERVER, GREENLETS])
def harness(request, tmp_path_factory):
    """One server for all tests of a mode."""
    with local_harness(tmp_path_factory.mktemp("harness"), request.param, **OPTIONS[request.param]) as harness:
        yield harness
