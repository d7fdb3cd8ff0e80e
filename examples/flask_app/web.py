"""The pages. They raise signals, and read what this process has in memory."""

from __future__ import annotations

import csv
import fcntl

from flask import Flask, Response, jsonify

from heliograph import uwsgi

from . import tasks

app = Flask(__name__)


@app.get("/")
def prices() -> Response:
    """The prices, as the process has them that answers."""
    return jsonify(worker=uwsgi.worker_id, prices=tasks.PRICES)


@app.put("/prices/<name>/<float:price>")
def change_price(name: str, price: float) -> tuple[str, int]:
    """Write it down, and have it read by all."""
    with tasks.PRICE_LIST.open("a", newline="") as lines:
        fcntl.flock(lines, fcntl.LOCK_EX)
        csv.writer(lines).writerow([name, price])
    tasks.refresh.send()
    return "", 202


@app.post("/report")
def order_report() -> tuple[str, int]:
    """The answer does not wait for it."""
    tasks.report.send()
    return "", 202


@app.get("/report")
def show_report() -> Response | tuple[str, int]:
    """The last one."""
    if not tasks.REPORT.exists():
        return "There is no report yet: POST /report\n", 404
    return Response(tasks.REPORT.read_text(), mimetype="text/plain")
