"""The hook for `gunicorn.conf.py`."""

from heliograph.contrib.gunicorn import post_worker_init


def test_the_hook_joins(engine):
    """gunicorn calls it with its worker, which is not looked at."""
    post_worker_init(object())
    assert engine.seen == [("join", None)]


def test_the_hook_is_one_of_gunicorns():
    """Of this name and with one argument, or gunicorn would not start."""
    from gunicorn.config import Config

    config = Config()
    config.set("post_worker_init", post_worker_init)
    assert config.post_worker_init is post_worker_init
