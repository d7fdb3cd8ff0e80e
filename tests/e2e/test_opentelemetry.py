"""OpenTelemetry with its real SDK on the heliograph server, across forks. The exporter writes to a file."""

import json
import sys
from pathlib import Path

import pytest

from heliograph.testing.harness.harness import eventually

pytestmark = pytest.mark.needs("opentelemetry-instrument")

SETUP = """
def set_up():
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    spans = open("spans", "a", buffering=1)
    provider = TracerProvider()
    exporter = ConsoleSpanExporter(out=spans, formatter=lambda span: span.to_json(indent=None) + "\\n")
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=600_000))
    trace.set_tracer_provider(provider)
"""
"""The exporter waits ten minutes, so that only the end of a process exports what is left."""

WORK = """
from heliograph import on_start, task
from heliograph.contrib.opentelemetry import instrument

instrument()
{when}

@task(target="spooler")
def job():
    record("job")

@Signal(1).register_handler("mule1")
def work():
    job.enqueue()
"""

WHEN = {"at import": "set_up()", "in on_start": "on_start(set_up)"}


def spans(server):
    """Return the exported spans by name."""
    path = server.directory / "spans"
    lines = path.read_text().splitlines() if path.exists() else []
    return {span["name"]: span for span in map(json.loads, lines)}


def check(found):
    assert sorted(found) == ["enqueue tasks:job", "signal tasks.work", "task tasks:job"]
    signal, enqueue, job = (found[name] for name in ("signal tasks.work", "enqueue tasks:job", "task tasks:job"))
    assert signal["parent_id"] is job["parent_id"] is None
    assert enqueue["parent_id"] == signal["context"]["span_id"]
    assert [link["context"] for link in job["links"]] == [enqueue["context"]]
    assert (signal["attributes"]["heliograph.process"], job["attributes"]["heliograph.process"]) == (
        "mule1",
        "spooler1",
    )


@pytest.mark.parametrize("when", WHEN)
def test_spans_of_each_process_are_exported_and_linked(server, when):
    """Set up in the fork server, or in each process. What was not exported yet is at the end of the process."""
    code = SETUP + WORK.format(when=WHEN[when])
    server.start(code, "--mules", "1", "--spooler", "spool")
    server.send(1)
    server.expect(1, "job")
    assert server.end() == 0
    check(spans(server))


def test_the_command_of_opentelemetry_instruments_the_server(server, monkeypatch):
    """`opentelemetry-instrument heliograph run`, with the exporter of the environment."""
    for name, value in {"TRACES": "console", "METRICS": "none", "LOGS": "none"}.items():
        monkeypatch.setenv(f"OTEL_{name}_EXPORTER", value)
    server.write(WORK.format(when="").replace("instrument()\n", ""))
    command = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    run = (sys.executable, "-m", "heliograph", "run", "tasks", "--name", server.name, "--mules", "1")
    server.process = server.popen(
        command, *run, "--spooler", "spool", "--socket", server.remote_socket, "--allow-remote", "1"
    )
    server.await_log("(?i)ready: ")
    server.send(1)
    server.expect(1, "job")
    assert server.end() == 0
    eventually("three spans", lambda: server.log.count('"trace_id"') >= 3)
    for name in ("enqueue tasks:job", "signal tasks.work", "task tasks:job"):
        assert f'"name": "{name}"' in server.log
