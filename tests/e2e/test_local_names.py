"""Named signals on the heliograph server: every process has the same numbers, also after a reload."""

from __future__ import annotations

import sys

import pytest

from heliograph._core.signals.names import candidates

LETTERS = "abcdefghijklmnopqrstuvwxyz"
"""Some of them prefer the same number: a and x, i and p, k and r."""
MODULE = """
from heliograph import Signal
from tasks import record

@Signal(name="NAME").register_handler("workers")
def handle(num):
    record(f"NAME={num}")
"""
IMPORTS = """
import importlib
for module in ORDER:
    importlib.import_module(module)
"""
MODES = {"plain": (), "lazy": ("--lazy-apps",)}


def modules(server, *names):
    """Write one module `use_NAME` for each name. It registers its signal for all workers."""
    for name in names:
        (server.directory / f"use_{name}.py").write_text(MODULE.replace("NAME", name))


def numbers(server):
    """Return the master's table: name -> number."""
    return {row["name"]: row["num"] for row in server.state()["signals"]}


def test_workers_with_different_import_orders_agree(server):
    """S2: Two names prefer one number. Each worker imports their modules in another order."""
    modules(server, "a", "x")
    order = "['use_a', 'use_x'] if uwsgi.worker_id == 1 else ['use_x', 'use_a']"
    server.start(IMPORTS.replace("ORDER", order), "--workers", "2", "--lazy-apps", remote="67,68")
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


def test_processes_that_allocate_names_at_the_same_time_agree(server):
    """S2: Each worker begins with another name. No two names get one number."""
    code = f"""
letters = {LETTERS!r}
if me := uwsgi.worker_id:
    found = {{name: int(Signal(name=name)) for name in letters[4 * me:] + letters[:4 * me]}}
    record(",".join(f"{{name}}={{found[name]}}" for name in letters))
"""
    server.start(code, "--workers", "6", "--lazy-apps")
    texts = {event.by: event.what for event in server.events()}
    assert sorted(texts) == [f"worker{number}" for number in range(1, 7)]
    assert len(set(texts.values())) == 1
    found = dict(pair.split("=") for pair in texts["worker1"].split(","))
    assert len(set(found.values())) == len(found) == len(LETTERS)
    assert server.end() == 0


@pytest.mark.parametrize("mode", sorted(MODES))
def test_a_reload_keeps_the_numbers_of_names(server, mode):
    """S2: The new code adds a name and changes the order. Otherwise a queued signal would run another handler."""
    modules(server, "a", "x", "b")
    server.start(IMPORTS.replace("ORDER", "['use_x', 'use_a']"), *MODES[mode], remote="67,68")
    before = numbers(server)
    assert before == {"x": 67, "a": 68}
    server.write(IMPORTS.replace("ORDER", "['use_b', 'use_a', 'use_x']"))
    assert server.command("reload").returncode == 0, server.log
    after = numbers(server)
    assert after == {**before, "b": after["b"]}
    server.send(67)
    server.expect(1, "x=67")
    assert server.end() == 0


def test_a_name_that_returns_has_its_old_number(server):
    """S2: The server keeps the number of a removed name. `Signal()` does not take it."""
    modules(server, "a", "x")
    server.start(IMPORTS.replace("ORDER", "['use_a']"))
    claims = "record(str(67 in {int(Signal()) for _ in range(100)}))\n"
    server.write(claims + IMPORTS.replace("ORDER", "['use_x']"))
    assert server.command("reload").returncode == 0, server.log
    assert numbers(server) == {"x": 101}
    assert [event.what for event in server.events()] == ["False"]
    server.write(IMPORTS.replace("ORDER", "['use_x', 'use_a']"))
    assert server.command("reload").returncode == 0, server.log
    assert numbers(server)["a"] == 67
    assert server.end() == 0


JOINING = """
import heliograph
known = [heliograph.Signal(name=name).num for name in ("x", "a", "new")]
import tasks
heliograph.runtime.join()
tasks.record(",".join(map(str, known)))
tasks.block_on("gate")
"""


def test_a_process_that_joins_has_the_same_numbers(server):
    """S2: It allocates names before it imports the tasks. A new name gets a free number."""
    modules(server, "a", "x")
    (server.directory / "joining.py").write_text(JOINING)
    registered = f"Signal({next(candidates('new'))}).register_handler('mule1')(record)\n"
    code = registered + IMPORTS.replace("ORDER", "['use_a', 'use_x']")
    command = ("--", sys.executable, "joining.py")
    server.start(code, "--workers", "1", "--mules", "1", *command, remote="67,68")
    (text,) = (event.what for event in server.expect(1, "") if "," in event.what)
    assert [int(num) for num in text.split(",")] == [68, 67, next(candidates("new")) + 1]
    server.send(68)
    assert server.expect(1, "x=68")[0].by == "worker1"
    server.release("gate")
    assert server.wait() == 0


CHANGING_NAMES = """
for number in range(100):
    Signal(name=f"name-GENERATION-{number}").register_handler("mule1")(lambda: record("done"))

@Signal(1).register_handler("mule1")
def old():
    record("GENERATION")
"""


def test_reloads_with_other_names_do_not_use_up_the_numbers(server):
    """The numbers of names that no process has any more are used again, and their counters begin at 0."""
    server.start(CHANGING_NAMES.replace("GENERATION", "1"), "--mules", "1", remote=",".join(map(str, range(256))))
    for generation in range(2, 8):
        used = [row["num"] for row in server.state()["signals"] if row["name"]]
        for num in used[:3]:
            server.send(num)
        server.expect(3 * (generation - 1), "done")
        server.write(CHANGING_NAMES.replace("GENERATION", str(generation)))
        done = server.command("reload")
        assert done.returncode == 0, server.log
        rows = [row for row in server.state()["signals"] if row["name"]]
        assert {row["name"] for row in rows} == {f"name-{generation}-{number}" for number in range(100)}
        assert not any(row["sent"] or row["done"] or row["queued"] for row in rows)
    assert server.end() == 0


def test_a_name_keeps_its_number_while_a_process_has_it(server):
    """A process that the application started still runs the old code, and sends with the old number."""
    code = """
Signal(name="kept").register_handler("mule1")(lambda: record("kept"))

@uwsgi.postfork_hooks.add()
def hook():
    if uwsgi.worker_id == 1 and not os.fork():
        record("child")
        block_on("end")
        os._exit(0)
"""
    server.start(code, "--mules", "1")
    server.expect(1, "child")
    kept = numbers(server)["kept"]
    for generation in range(2, 6):
        server.write(CHANGING_NAMES.replace("GENERATION", str(generation)).replace("100", "50"))
        assert server.command("reload").returncode == 0, server.log
        assert kept not in [row["num"] for row in server.state()["signals"]]
    server.release("end")
    assert server.end() == 0
