"""A web application, with its tasks."""

from flask import Flask

from shop import tasks

app = Flask(__name__)


def create_app() -> Flask:
    """Return the application."""
    return app


@app.post("/prices")
def change_prices() -> tuple[str, int]:
    """Send a signal to all workers."""
    tasks.refresh_prices.send()
    return "accepted\n", 202
