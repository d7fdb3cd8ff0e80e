"""The hook for `gunicorn.conf.py`."""

from heliograph.contrib.gunicorn import post_worker_init


def test_hook_joins(engine):
    """It ignores the worker object of gunicorn."""
    post_worker_init(object())
    assert engine.seen == [("join", None)]


def test_hook_has_the_signature_of_gunicorn():
    """Otherwise gunicorn would not start."""
    from gunicorn.config import Config

    config = Config()
    config.set("post_worker_init", post_worker_init)
    assert config.post_worker_init is post_worker_init
