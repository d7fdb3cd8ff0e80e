"""`examples/nightly.py`: cron rule, timers, file monitor and spooler, also across a reload."""

from __future__ import annotations

import itertools
import json
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from heliograph.testing.harness.harness import eventually

APP = Path(__file__).parents[2] / "examples/nightly.py"
UWSGI = pytest.param("uwsgi", marks=pytest.mark.needs("uwsgi"))
ENGINES = pytest.mark.parametrize("engine", ["local", UWSGI])


def start(server, engine="local"):
    """Start the example, and wait until the schedule runs."""
    named = ["--name", server.name] if engine == "local" else []
    command = [sys.executable, "-m", "heliograph", "run", str(APP), "--engine", engine, *named]
    server.process = server.popen(*command, "--workers", "2", "--mules", "1", "--spooler", "spool")
    server.await_log("mule1: warm\n")


@ENGINES
def test_a_timer_ticks_in_the_mule(server, monkeypatch, engine):
    """The timer fires repeatedly, and only in the mule."""
    monkeypatch.setenv("FAST", "1")
    start(server, engine)
    server.await_log("mule1: baskets are clean\n", 3)
    assert server.log.count(": baskets are clean") == server.log.count("mule1: baskets are clean")
    assert server.end() == 0


@ENGINES
def test_a_file_change_reaches_both_workers(server, engine):
    """Each worker reads the file when it is created, replaced and removed."""
    start(server, engine)
    for lines in ("tea 3\n", "tea 3\ncoffee 4\n"):
        (server.directory / "new").write_text(lines)
        (server.directory / "new").replace(server.directory / "prices.csv")
        for worker in ("worker1", "worker2"):
            server.await_log(f"{worker}: {lines.count(chr(10))} prices\n")
    (server.directory / "prices.csv").unlink()
    for worker in ("worker1", "worker2"):
        server.await_log(f"{worker}: 0 prices\n")
    assert server.end() == 0


@pytest.mark.early
def test_the_nightly_job_runs_and_the_spooler_writes_the_report(server, monkeypatch):
    """With FAST=1, a worker closes the day within a minute, and the spooler writes the report."""
    monkeypatch.setenv("FAST", "1")
    start(server)
    try:
        server.await_log("the day is closed", timeout=75)
    except AssertionError:
        print(json.dumps(server.state(), indent=1))
        raise
    server.await_log(r"worker\d: the day is closed\n(.*\n)*?spooler1: the report is written\n")
    assert server.end() == 0


def test_the_next_runs_are_listed(server):
    """`heliograph schedule --next 5` lists the cron rule at three in Berlin, and the six-hour timer."""
    before = datetime.now(UTC)
    start(server)
    done = server.command("schedule", "--next", "5", "--json")
    assert done.returncode == 0, done.stderr
    runs = [(datetime.fromtimestamp(run["at"], UTC), run["name"]) for run in json.loads(done.stdout)]
    berlin = ZoneInfo("Europe/Berlin")
    night = before.astimezone(berlin).replace(hour=3, minute=0, second=0, microsecond=0, fold=0)
    if night <= before:
        night += timedelta(days=1)  # on the wall clock
    assert next(when for when, name in runs if name == "nightly") == night.astimezone(UTC)
    clean = [when for when, name in runs if name == "clean"]
    assert timedelta() <= clean[0] - before - timedelta(hours=6) < timedelta(minutes=1)
    assert all(abs(b - a - timedelta(hours=6)) < timedelta(seconds=1) for a, b in itertools.pairwise(clean))
    printed = server.command("signals", "--next", "5").stdout.splitlines()
    assert [line.rsplit("  ", 1)[1] for line in printed] == [name for _, name in runs]
    assert server.end() == 0


def test_a_reload_keeps_the_schedule(server, monkeypatch):
    """D4, K11: the one-shot timer does not run again, and the other timer keeps its fixed rate."""
    monkeypatch.setenv("FAST", "1")
    start(server)
    server.await_log("baskets are clean")
    first = ticks(server)
    server.process.send_signal(signal.SIGHUP)
    eventually("new code", lambda: server.state()["generation"] == 2 and server.state()["complete"])
    server.await_log("baskets are clean", server.log.count("baskets are clean") + 2)
    assert server.log.count("mule1: warm") == 1
    assert {row["name"]: row["fired"] for row in server.state()["triggers"]}["warm up"] == 1
    moved = abs((ticks(server) - first) / 2 - round((ticks(server) - first) / 2)) * 2
    assert moved < 0.1, "the timer has shifted"
    assert server.end() == 0


def ticks(server):
    """Return the next time of the timer as a Unix timestamp."""
    runs = json.loads(server.command("signals", "--next", "9", "--json").stdout)
    return next(run["at"] for run in runs if run["name"] == "clean")


@pytest.mark.needs("uwsgi")
def test_a_reload_on_uwsgi_restarts_the_schedule(server, monkeypatch):
    """D4 on uWSGI: the timer continues, and the one-shot timer runs again."""
    monkeypatch.setenv("FAST", "1")
    start(server, "uwsgi")
    server.await_log("baskets are clean")
    server.process.send_signal(signal.SIGHUP)
    server.await_log("mule1: warm", 2)
    server.await_log("baskets are clean", server.log.count("baskets are clean") + 2)
    assert server.log.count("mule1: warm") == 2
    assert server.end() == 0
