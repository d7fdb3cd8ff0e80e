"""The snippets of the page about connections, on a real server."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/how-to/connections.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)

CHECKS = """
IMPORTED = client.cache_info().currsize
threading.Thread(target=time.sleep, args=(600,), name="import", daemon=True).start()

@Signal(1).register_handler("mules", remote=True)
def check():
    names = {thread.name for thread in threading.enumerate()}
    record(f"metrics-{'metrics' in names}-import-{'import' in names}")
    record(f"client-{IMPORTED}-{id(client())}")
    Signal(name="order").send()
"""


def test_the_snippets_work_in_each_process(server):
    """Each mule writes by its own connection and has its thread. A thread started at import is not there."""
    server.start("\n".join(SNIPPETS) + CHECKS, "--mules", "2")
    server.send(1, 10)
    checks = server.expect(20, "metrics-True-import-False")
    assert {event.by for event in checks} == {"mule1", "mule2"}
    assert all(event.what.startswith("client-0-") for event in server.events() if event.what.startswith("client"))
    number = next(row["num"] for row in server.state()["signals"] if row["name"] == "order")
    server.await_row(number, sent=20, done=40, failed=0)
    with closing(sqlite3.connect(server.directory / "orders.db")) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (40,)
    assert server.end() == 0


def test_a_connection_of_the_import_takes_no_lock(server):
    """The reason for the page: the fork server's transaction does not keep a mule from writing."""
    server.start(
        """
import sqlite3
CONNECTION = sqlite3.connect("orders.db", isolation_level=None, timeout=0)
CONNECTION.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
CONNECTION.execute("BEGIN EXCLUSIVE")

@Signal(1).register_handler("mule1")
def inherited():
    CONNECTION.execute("INSERT INTO orders DEFAULT VALUES")
    record("wrote")

@Signal(2).register_handler("mule1")
def own():
    try:
        sqlite3.connect("orders.db", timeout=0).execute("INSERT INTO orders DEFAULT VALUES")
    except sqlite3.OperationalError:
        record("locked")
""",
        "--mules",
        "1",
    )
    server.send(2)
    server.expect(1, "locked")
    server.send(1)
    server.expect(1, "wrote")
