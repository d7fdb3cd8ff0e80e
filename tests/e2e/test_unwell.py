"""Servers that are not well, each in its own way: `heliograph status` names it, and its exit code is 1."""

import json
import subprocess
import sys

import pytest

from heliograph.testing.harness.harness import eventually

from .unwell import HANDLERS, SCENARIOS, SPOOLED, can_mount


def look(server, scenario, *arguments):
    """Run `heliograph status` where the server can be seen."""
    command = [
        *scenario.prefix(server),
        sys.executable,
        "-m",
        "heliograph",
        "status",
        "--name",
        server.name,
        *arguments,
    ]
    return subprocess.run(command, cwd=server.directory, capture_output=True, text=True, timeout=60, check=False)


def found(server, scenario):
    """Return the problem of the scenario as `status --json` has it, None if it is not there."""
    done = look(server, scenario, "--json")
    problems = json.loads(done.stdout)["problems"] if done.stdout else []
    return next((problem for problem in problems if problem["code"] == scenario.code), None)


@pytest.mark.parametrize("scenario", [pytest.param(scenario, id=scenario.make.__name__) for scenario in SCENARIOS])
def test_status_names_what_is_wrong(server, scenario):
    """As JSON and for people."""
    if scenario.code == "full_disk" and not can_mount():
        pytest.skip("cannot mount a file system in a user namespace")
    scenario.make(server)
    problem = eventually(scenario.code, lambda: found(server, scenario), timeout=60.0)
    assert problem["subject"] in {scenario.subject, str(server.directory / scenario.subject)}
    done = look(server, scenario)
    assert done.returncode == 1, done
    assert f"[{scenario.code}]" in done.stdout
    assert f"{server.name} is " in done.stdout.splitlines()[0]


def test_a_healthy_server_has_no_problem(server):
    """With the same application, and the exit code is 0."""
    server.start(HANDLERS, *SPOOLED)
    server.send(2)
    server.expect(1, "quick")
    done = server.command("status", "--wait-ready", "30")
    assert (done.returncode, done.stdout.splitlines()[0].split(",")[0]) == (0, f"{server.name} is well: tasks")
    assert server.command("status").returncode == 0
