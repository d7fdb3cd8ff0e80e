"""The server of the page with real sockets: its limits, its address and its end."""

import asyncio
import contextlib
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from heliograph.web import connections, protection, serving
from heliograph.web.application import Page
from heliograph.web.events import MAX_STREAMS
from heliograph.web.readings import Readings
from heliograph.web.serving import PageServer
from heliograph.web.view import View

DEADLINE = 30.0
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
EVENTS = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextlib.asynccontextmanager
async def serving_page(reader):
    """Serve a page at a free port. Yield the server, and a function that connects to it."""

    async def read_stack(_):
        return ""

    view = View(can_change=False)
    readings = Readings(reader, view.update)
    listener = socket.create_server(("127.0.0.1", 0))
    server = PageServer(Page(readings, view, read_stack, None))
    task = asyncio.create_task(server.serve([listener]))
    opened = []

    async def connect(request=b""):
        found, writer = await asyncio.open_connection(*listener.getsockname())
        opened.append(writer)
        writer.write(request)
        return found, writer

    port = listener.getsockname()[1]
    try:
        async with asyncio.timeout(DEADLINE):
            yield server, connect, port
    finally:
        server.stop()
        for writer in opened:
            writer.close()
        await asyncio.wait_for(task, DEADLINE)
        readings.close()
    assert port


async def head_of(reader):
    return (await reader.readuntil(b"\r\n\r\n")).decode()


@pytest.mark.asyncio
async def test_a_connection_serves_several_requests(reader):
    """HTTP/1.1. No header names the software."""
    async with serving_page(reader) as (_, connect, _):
        found, writer = await connect()
        for _ in range(3):
            writer.write(GET)
            head = await head_of(found)
            assert head.startswith("HTTP/1.1 200 OK")
            assert "server:" not in head
            assert "uvicorn" not in head
            length = int(head.lower().partition("content-length: ")[2].split()[0])
            await found.readexactly(length)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "beginning", [b"", b"GET / HT", GET[:-2], b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc"]
)
async def test_a_client_that_does_not_complete_a_request_is_disconnected(reader, monkeypatch, beginning):
    """However much of it has arrived."""
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.2)
    async with serving_page(reader) as (_, connect, _):
        found, _ = await connect(beginning)
        await found.read()  # until the end
        other, _ = await connect(GET)
        assert (await head_of(other)).startswith("HTTP/1.1 200")


@pytest.mark.asyncio
async def test_a_client_that_sends_a_request_byte_by_byte_is_disconnected(reader, monkeypatch):
    """Each byte alone does not begin a new deadline."""
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.3)
    async with serving_page(reader) as (_, connect, _):
        found, writer = await connect()

        async def dribble():
            for byte in b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 10_000:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)

        task = asyncio.create_task(dribble())
        with contextlib.suppress(ConnectionError):
            await found.read()
        task.cancel()


@pytest.mark.asyncio
async def test_a_client_that_does_not_read_loses_its_stream(reader, states, monkeypatch):
    """It gets no more than the kernel holds for it, and the others go on."""
    monkeypatch.setattr(protection, "SEND_TIMEOUT", 0.3)
    monkeypatch.setattr("heliograph.web.readings.INTERVAL", 0.02)
    reader.answer = states.large()

    def changed():
        reader.answer = states.unwell(f"{time.monotonic()} " + "x" * 200_000)
        return reader.answer

    monkeypatch.setattr(reader, "state", changed)
    async with serving_page(reader) as (server, connect, _):
        slow, writer = await connect(EVENTS)
        writer.transport.pause_reading()
        quick, _ = await connect(EVENTS)
        await head_of(quick)
        while server._page.events.streams > 1 or not slow:
            await quick.read(1 << 16)
        assert server._page.events.streams == 1
        for _ in range(20):
            assert await quick.read(1 << 16)


@pytest.mark.asyncio
async def test_streams_end_with_their_clients(reader):
    """Their number is limited, so one that was left open must not count."""
    async with serving_page(reader) as (server, connect, _):
        opened = [await connect(EVENTS) for _ in range(MAX_STREAMS)]
        for found, _ in opened:
            assert (await head_of(found)).startswith("HTTP/1.1 200")
        while server._page.events.streams < MAX_STREAMS:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
        found, _ = await connect(EVENTS)
        assert (await head_of(found)).startswith("HTTP/1.1 503")
        for _, writer in opened:
            writer.close()
        while server._page.events.streams:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert reader.asked < 30


@pytest.mark.asyncio
async def test_too_many_connections_get_503(reader, monkeypatch):
    """The process keeps its descriptors."""
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 5)
    async with serving_page(reader) as (_, connect, _):
        opened = [await connect() for _ in range(8)]
        found, writer = opened[-1]
        writer.write(GET)
        assert (await head_of(found)).startswith("HTTP/1.1 503")


@pytest.mark.asyncio
async def test_a_stop_ends_open_streams(reader):
    """At once, and without an error."""
    async with serving_page(reader) as (server, connect, _):
        found, _ = await connect(EVENTS)
        await found.readuntil(b"data: ")
        began = time.monotonic()
        server.stop()
        await found.read()
        assert time.monotonic() - began < DEADLINE / 2


def run(*arguments, **options):
    command = [sys.executable, "-P", "-m", "heliograph.web", "--control", "/nonexistent/x.sock", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def wait_for(path):
    deadline = time.monotonic() + DEADLINE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_unix_socket_belongs_to_its_user(tmp_path):
    """It replaces the file of a process that was killed, and is removed at the end. SIGTERM is a normal end."""
    path = tmp_path / "page.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    before = path.stat().st_ino
    process = run("--listen", str(path))
    try:
        assert "Serving the status page" in process.stderr.readline()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert (path.stat().st_ino, path.stat().st_mtime_ns) != (before, 0)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(str(path))
            client.sendall(GET)
            assert client.recv(64).startswith(b"HTTP/1.1 503")  # there is no server
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        assert not path.exists()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_taken_address_is_one_line(tmp_path, kind):
    """With the address and the way out. The socket of the other program stays."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        path = tmp_path / "page.sock"
        unix.bind(str(path))
        unix.listen()
        address = f"127.0.0.1:{tcp.getsockname()[1]}" if kind == "tcp" else str(path)
        process = run("--listen", address)
        _, text = process.communicate(timeout=DEADLINE)
        assert process.returncode == 2
        assert f"Cannot serve the status page at {address}: " in text
        assert text.count("\n") == 1
        assert "Stop" in text
        assert path.exists()


def test_a_bad_token_file_is_one_line(tmp_path):
    """The page does not serve without what protects it."""
    path = tmp_path / "token"
    path.touch(mode=0o644)
    process = run("--listen", str(tmp_path / "page.sock"), "--token-file", str(path))
    _, text = process.communicate(timeout=DEADLINE)
    assert (process.returncode, "chmod 600" in text) == (2, True)
    assert not (tmp_path / "page.sock").exists()


def test_an_address_for_other_machines_is_warned_of(tmp_path):
    """In the log, at the start."""
    process = run("--listen", "0.0.0.0:0")
    try:
        assert "Serving the status page" in process.stderr.readline()
        assert "Other machines can read the status page" in process.stderr.readline()
    finally:
        process.kill()
        process.communicate()


def test_modules_of_the_application_do_not_replace_those_of_the_page(tmp_path):
    """The process runs in the directory of the application, which may have a module `h11`."""
    (tmp_path / "h11.py").write_text("raise SystemExit('wrong module')")
    process = run("--listen", "127.0.0.1:0", cwd=tmp_path)
    try:
        assert "Serving the status page" in process.stderr.readline()
    finally:
        process.kill()
        process.communicate()
