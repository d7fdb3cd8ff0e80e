"""A hook of gunicorn's: `from heliograph.contrib.gunicorn import post_worker_init` in `gunicorn.conf.py`.

With it also those processes are workers whose application uses no signals itself, and workers of classes that are not
known.
"""

from __future__ import annotations

from heliograph.runtime.membership import join_server


def post_worker_init(worker: object) -> None:
    """Join: the application is loaded, and about to be served."""
    del worker  # gunicorn's shape
    join_server()
