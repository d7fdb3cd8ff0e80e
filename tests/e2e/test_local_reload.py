"""A reload of the heliograph server: no signal is lost, and broken code does not replace working code."""

from __future__ import annotations

import signal
import threading

import pytest

from heliograph.testing.harness.harness import eventually

SERVING = """
@Signal(1).register_handler("mule")
def work():
    record("VERSION")

@Signal(2).register_handler("workers")
def slow():
    record("slow")
"""
BROKEN = {
    "def (": "SyntaxError",
    "import nothing_of_that_name": "ModuleNotFoundError: No module named 'nothing_of_that_name'",
    "sys.exit('no, not now')": "SystemExit: no, not now",
    "os._exit(5)": "exit code 5",
    "Signal(3).register_handler('mule9')(record)": "target 'mule9'",
    "raise RuntimeError('ä\\u20ac' * 4000)": "ä€",
}
MODES = {"plain": (), "lazy": ("--lazy-apps",)}


@pytest.mark.quick
@pytest.mark.parametrize("mode", sorted(MODES))
def test_a_reload_under_load_loses_nothing(server, mode):
    """D4: Signals arrive during the reload. The old or the new code handles each once."""
    server.start(SERVING.replace("VERSION", "old"), "--mules", "2", *MODES[mode])
    server.send(1, 20)
    enough = threading.Event()
    sent = [20]

    def keep_sending() -> None:
        while not enough.is_set():
            server.send(1)
            sent[0] += 1

    sender = threading.Thread(target=keep_sending)
    sender.start()
    server.write(SERVING.replace("VERSION", "new"))
    before = server.pids()
    server.process.send_signal(signal.SIGHUP)
    server.expect(50, "new")
    enough.set()
    sender.join()
    eventually("all signals to be handled", lambda: len(server.events()) >= sent[0])
    eventually(
        "new processes", lambda: server.state()["complete"] and not set(before.values()) & set(server.pids().values())
    )
    assert server.end() == 0
    assert len(server.events()) == sent[0]
    assert len(server.events("old")) >= 20


def test_a_busy_process_finishes_before_it_is_replaced(server):
    """Its successor handles the queued signals in their order."""
    code = """
@Signal(1).register_handler("mule1")
def work():
    record("started")
    block_on("gate")
    record("done")
"""
    server.start(code, "--mules", "1")
    server.send(1)
    server.expect(1, "started")
    server.send(1, 3)
    old = server.pids()["mule1"]
    server.process.send_signal(signal.SIGHUP)
    eventually("the second generation", lambda: server.state()["generation"] == 2)
    assert server.pids()["mule1"] == old
    server.release("gate")
    done = server.expect(4, "done")
    assert [event.pid == old for event in done] == [True, False, False, False]
    assert server.row(1)["redelivered"] == 0
    assert server.end() == 0


@pytest.mark.parametrize("mode", sorted(MODES))
def test_a_reload_with_broken_code_keeps_the_old_code(server, mode):
    """`heliograph reload` exits with 1, and the log gives the reason. A later reload with working code succeeds."""
    server.start(SERVING.replace("VERSION", "old"), "--mules", "1", *MODES[mode])
    before = server.pids()
    for count, (code, reason) in enumerate(BROKEN.items(), 1):
        server.write(code)
        done = server.command("reload")
        assert done.returncode == 1, server.log
        assert "reload failed, keeping the old code: " in done.stderr
        assert len(done.stderr.splitlines()) == 1
        server.await_log("Reload failed, keeping the old code", count)
        assert reason in server.log.rpartition("Reload failed")[2]
        server.send(1)
        server.expect(count, "old")
    assert server.pids() == before
    server.write(SERVING.replace("VERSION", "new"))
    done = server.command("reload")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"Reload complete (generation {server.state()['generation']})\n"
    server.send(1)
    server.expect(1, "new")
    assert server.end() == 0


def test_a_reload_during_a_reload_follows_it(server):
    """The application is loaded once more afterwards, so that the code of the second request runs in the end."""
    server.start(SERVING.replace("VERSION", "old"), "--mules", "1")
    server.write("os.mkfifo('fifo')\nopen('fifo').read()\n" + SERVING)
    server.process.send_signal(signal.SIGHUP)
    eventually("the import is under way", (server.directory / "fifo").exists)
    server.process.send_signal(signal.SIGHUP)
    server.await_log("Reload requested while the application is being loaded, loading it once more")
    server.write(SERVING.replace("VERSION", "newest"))
    (server.directory / "fifo").write_text("")
    server.await_log(r"Reload complete \(generation 3, ")
    assert server.state()["generation"] == 3
    server.send(1)
    server.expect(1, "newest")
    assert server.end() == 0


def test_a_server_stops_during_a_reload(server):
    """An import that hangs neither delays the stop nor survives it."""
    server.start(SERVING, "--mules", "1")
    server.write("Path('hangs').touch()\nblock_on('never')\n")
    server.process.send_signal(signal.SIGHUP)
    eventually("the blocked import", (server.directory / "hangs").exists)
    assert server.end() == 0


def test_a_reload_replaces_the_routes(server):
    """A number whose target has changed goes to the new target, also from outside and with `--lazy-apps`."""
    server.start("Signal(1).register_handler('mule1')(lambda: record('old'))", "--mules", "1", "--lazy-apps")
    server.write("Signal(1).register_handler('worker')(lambda: record('new'))")
    assert server.command("reload").returncode == 0
    server.send(1)
    assert server.expect(1, "new")[0].by == "worker1"
    assert server.row(1)["target"] == "worker"
    assert server.end() == 0
    assert not list((server.directory / "heliograph").iterdir())
