"""The code in the pages about hooks and tracing runs, on the inline engine, and does what the pages say."""

import re
import textwrap
from pathlib import Path

import pytest

from heliograph import Signal
from heliograph.runtime import instrumentation

DOCS = Path(__file__).parents[2] / "docs/how-to"
SNIPPET = re.compile(r"^ *```python\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def run(page):
    """Run all snippets of a page, one after another. Return their names."""
    names = {"__name__": "shop.tasks"}
    for snippet in SNIPPET.findall((DOCS / page).read_text()):
        exec(compile(textwrap.dedent(snippet), page, "exec", dont_inherit=True), names)
    return names


def test_the_snippets_about_hooks_run(heliograph_engine, tmp_path, monkeypatch, capsys):
    """Each process opens its connection, closes it, and the failure of a handler is told."""
    monkeypatch.chdir(tmp_path)
    page = run("hooks.md")
    page["test_each_mule_has_a_connection"](heliograph_engine)
    Signal(name="order").send()
    (failed,) = heliograph_engine.take_failures()
    assert isinstance(failed.failure, KeyError)
    heliograph_engine.start_processes("mule1")
    Signal(name="order").send()
    assert page["connections"]["orders"].execute("SELECT count(*) FROM orders").fetchone() == (1,)
    heliograph_engine.stop_processes("mule1")
    assert capsys.readouterr().out.splitlines() == [
        "mule 1 starts",
        "shop.tasks.store_order failed: KeyError('orders')",
        "mule 1 starts",
    ]


def test_the_snippets_about_tracing_run(heliograph_engine, monkeypatch):
    """The integrations are there. The function that sets up the SDK is called in a process."""
    pytest.importorskip("opentelemetry.sdk")
    sentry_sdk = pytest.importorskip("sentry_sdk")
    from opentelemetry import trace

    from heliograph.contrib.opentelemetry import uninstrument

    started, providers = [], []
    monkeypatch.setattr(sentry_sdk, "init", lambda **options: started.append(options))
    monkeypatch.setattr(trace, "set_tracer_provider", providers.append)
    before = len(instrumentation.SIGNAL_WRAPPERS)
    run("tracing.md")
    try:
        assert len(instrumentation.SIGNAL_WRAPPERS) == before + 1
        assert [type(found).__name__ for found in started[0]["integrations"]] == ["HeliographIntegration"]
        heliograph_engine.start_processes("mule1")
        assert len(providers) == 1
    finally:
        uninstrument()
        for provider in providers:
            provider.shutdown()
