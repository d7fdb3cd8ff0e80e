"""Named signals on a server of our own: every process has the same numbers, and they outlive a reload."""

from __future__ import annotations

import sys

import pytest

from heliograph._core.signals.names import candidates

LETTERS = "abcdefghijklmnopqrstuvwxyz"
"""Some of them want one number: a and x, i and p, k and r."""
MODULE = """
from heliograph import Signal
from tasks import record

@Signal(name="NAME").register_handler("workers")
def handle(num):
    record(f"NAME={num}")
"""
IN_THIS_ORDER = """
import importlib
for module in ORDER:
    importlib.import_module(module)
"""
MODES = {"plain": (), "lazy": ("--lazy-apps",)}


def modules(server, *names):
    """One module a name, `use_NAME`, that registers its signal for all workers."""
    for name in names:
        (server.directory / f"use_{name}.py").write_text(MODULE.replace("NAME", name))


def numbers(server):
    """Name -> number, as the master has them."""
    return {row["name"]: row["num"] for row in server.state()["signals"]}


def test_workers_that_import_in_another_order_agree(server):
    """S2: two names that want one number, in modules that each worker imports in an order of its own."""
    modules(server, "a", "x")
    order = "['use_a', 'use_x'] if uwsgi.worker_id == 1 else ['use_x', 'use_a']"
    server.start(IN_THIS_ORDER.replace("ORDER", order), "--workers", "2", "--lazy-apps", remote="67,68")
    assert sorted(numbers(server).items()) in ([("a", 67), ("x", 68)], [("a", 68), ("x", 67)])
    for name, num in numbers(server).items():
        server.send(num)
        assert {event.by for event in server.expect(2, f"{name}={num}")} == {"worker1", "worker2"}
    assert len(server.events()) == 4
    shown = server.command("signals").stdout.splitlines()
    assert [line.split()[:3] for line in shown[1:3]] == [
        ["num", "name", "target"],
        ["67", shown[2].split()[1], "workers"],
    ]
    assert server.end() == 0


def test_processes_that_name_at_the_same_moment_agree(server):
    """S2: nobody named before them, each begins with another name, and no two names get one number."""
    code = f"""
letters = {LETTERS!r}
if me := uwsgi.worker_id:
    found = {{name: int(Signal(name=name)) for name in letters[4 * me:] + letters[:4 * me]}}
    record(",".join(f"{{name}}={{found[name]}}" for name in letters))
"""
    server.start(code, "--workers", "6", "--lazy-apps")
    said = {event.by: event.what for event in server.events()}
    assert sorted(said) == [f"worker{number}" for number in range(1, 7)]
    assert len(set(said.values())) == 1
    found = dict(pair.split("=") for pair in said["worker1"].split(","))
    assert len(set(found.values())) == len(found) == len(LETTERS)
    assert server.end() == 0


@pytest.mark.parametrize("mode", sorted(MODES))
def test_a_reload_that_adds_and_reorders_names_keeps_numbers(server, mode):
    """S2: by the order of the new code alone they would be others; what waits would run another's handler."""
    modules(server, "a", "x", "b")
    server.start(IN_THIS_ORDER.replace("ORDER", "['use_x', 'use_a']"), *MODES[mode], remote="67,68")
    before = numbers(server)
    assert before == {"x": 67, "a": 68}
    server.write(IN_THIS_ORDER.replace("ORDER", "['use_b', 'use_a', 'use_x']"))
    assert server.command("reload").returncode == 0, server.log
    after = numbers(server)
    assert after == {**before, "b": after["b"]}
    server.send(67)
    server.expect(1, "x=67")
    assert server.end() == 0


def test_a_name_that_is_gone_and_comes_back_has_its_number(server):
    """S2: a name keeps it as long as the server lives; nothing else gets it meanwhile, not even by `Signal()`."""
    modules(server, "a", "x")
    server.start(IN_THIS_ORDER.replace("ORDER", "['use_a']"))
    claims = "record(str(67 in {int(Signal()) for _ in range(100)}))\n"
    server.write(claims + IN_THIS_ORDER.replace("ORDER", "['use_x']"))
    assert server.command("reload").returncode == 0, server.log
    assert numbers(server) == {"x": 101}
    assert [event.what for event in server.events()] == ["False"]
    server.write(IN_THIS_ORDER.replace("ORDER", "['use_x', 'use_a']"))
    assert server.command("reload").returncode == 0, server.log
    assert numbers(server)["a"] == 67
    assert server.end() == 0


BESIDE = """
import heliograph
known = [heliograph.Signal(name=name).num for name in ("x", "a", "new")]
import tasks
heliograph.runtime.join()
tasks.record(",".join(map(str, known)))
tasks.block_on("gate")
"""


def test_a_process_that_joins_agrees(server):
    """S2: it was not forked by the server, and names before it imports; a new name gets none of the others' numbers."""
    modules(server, "a", "x")
    (server.directory / "beside.py").write_text(BESIDE)
    by_hand = f"Signal({next(candidates('new'))}).register_handler('mule1')(record)\n"
    code = by_hand + IN_THIS_ORDER.replace("ORDER", "['use_a', 'use_x']")
    command = ("--", sys.executable, "beside.py")
    server.start(code, "--workers", "1", "--mules", "1", *command, remote="67,68")
    (said,) = (event.what for event in server.expect(1, "") if "," in event.what)
    assert [int(num) for num in said.split(",")] == [68, 67, next(candidates("new")) + 1]
    server.send(68)
    assert server.expect(1, "x=68")[0].by == "worker1"
    server.release("gate")
    assert server.wait() == 0
