"""Inside a real uWSGI server."""

from heliograph.engines.uwsgi.engine import UwsgiEngine

__all__ = ["UwsgiEngine"]
