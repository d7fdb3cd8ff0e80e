"""A hook for gunicorn: `from heliograph.contrib.gunicorn import post_worker_init` in `gunicorn.conf.py`.

You need it if the application does not import heliograph, or for worker classes that heliograph does not detect.
"""

from __future__ import annotations

from heliograph.runtime.membership import join_server


def post_worker_init(worker: object) -> None:
    """Join the server. gunicorn calls this when the application is loaded and about to serve."""
    del worker  # gunicorn passes it
    join_server()
