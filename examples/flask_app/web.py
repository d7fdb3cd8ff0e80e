"""The pages. They send signals, enqueue tasks and read prices from the memory of the worker."""

from __future__ import annotations

import csv
import fcntl

from flask import Flask, Response, jsonify, request

from heliograph import get_result, uwsgi

from . import tasks

app = Flask(__name__)


@app.get("/")
def prices() -> Response:
    """Return the prices that this worker has in memory."""
    return jsonify(worker=uwsgi.worker_id, prices=tasks.PRICES)


@app.put("/prices/<name>/<float:price>")
def change_price(name: str, price: float) -> tuple[str, int]:
    """Store the price and make every worker read the list."""
    with tasks.PRICE_LIST.open("a", newline="") as lines:
        fcntl.flock(lines, fcntl.LOCK_EX)
        csv.writer(lines).writerow([name, price])
    tasks.refresh.send()
    return "", 202


@app.post("/orders/<name>")
def order(name: str) -> tuple[Response | str, int]:
    """Accept an order. The confirmation is mailed later, whatever happens to this process."""
    if name not in tasks.PRICES:
        return f"There is no {name}.\n", 404
    result = tasks.confirm_order.enqueue(name, request.args["to"])
    return jsonify(task=result.id), 202


@app.get("/orders/<task_id>")
def show_order(task_id: str) -> Response:
    """Return the status of the confirmation."""
    return jsonify(status=get_result(task_id).status)


@app.post("/report")
def request_report() -> tuple[str, int]:
    """Request a report. The response does not wait for it."""
    tasks.report.send()
    return "", 202


@app.get("/report")
def show_report() -> Response | tuple[str, int]:
    """Return the last report."""
    if not tasks.REPORT.exists():
        return "There is no report yet. Request one: POST /report\n", 404
    return Response(tasks.REPORT.read_text(), mimetype="text/plain")
