"""Integrations without the package that they are for."""

import importlib
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "package", "advice"),
    [
        ("opentelemetry", "opentelemetry.metrics", r"needs OpenTelemetry: pip install 'heliograph\[otel\]'"),
        ("sentry", "sentry_sdk", r"needs the SDK of Sentry: pip install 'heliograph\[sentry\]'"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, module, package, advice):
    """The error says what to install."""
    for name in [name for name in sys.modules if name.startswith(f"heliograph.contrib.{module}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=advice):
        importlib.import_module(f"heliograph.contrib.{module}")
