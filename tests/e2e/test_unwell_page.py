"""Servers that are not well, each in its own way: the page and the metrics name it."""

from __future__ import annotations

import pytest

from heliograph.testing.harness.harness import eventually

from .page_client import Page
from .unwell import SCENARIOS, can_mount


@pytest.mark.parametrize("scenario", [pytest.param(scenario, id=scenario.code) for scenario in SCENARIOS])
def test_the_page_and_a_metric_name_what_is_wrong(server, scenario, monkeypatch):
    """With the code that `heliograph status` prints."""
    if scenario.code == "full_disk" and not can_mount():
        pytest.skip("cannot mount a file system in a user namespace")
    monkeypatch.setenv("HELIOGRAPH_HTTP_STATUS", "page.sock")
    scenario.make(server)
    page = Page(server)
    eventually(scenario.code, lambda: f'data-code="{scenario.code}"' in page.ask("/")[1], timeout=60.0)
    subjects = {scenario.subject, str(server.directory / scenario.subject)}
    found = [line for line in page.ask("/metrics")[1].splitlines() if f'problem{{code="{scenario.code}"' in line]
    assert any(f'subject="{subject}"' in line for subject in subjects for line in found), found
    assert "All is well" not in page.ask("/")[1]
