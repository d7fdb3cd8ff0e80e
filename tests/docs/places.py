"""The directories and ports that pages name, and those that a test has instead."""

from __future__ import annotations

import importlib.util
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PLACES = ("/srv/", "/var/lib/", "/run/", "/home/", "/backup/", "/etc/")
"""Directories that pages name. In the test they are below a temporary directory."""
DIRECTORIES = ("srv/shop", "var/lib/shop", "run/user/1000", "run/shop", "home/shop", "backup", "etc/shop")

_PORT = re.compile(r"(?<=[: =])(8000|8001|9100|3031|9191)\b")
"""Ports that pages name. The test takes free ones."""
_SERVER = re.compile(r"""((?:--name|^name|HELIOGRAPH_NAME|control_socket)(?:[ =(]+"?))shop\b(?!-)""", re.MULTILINE)
"""The name of a server. A server of another test, or of the user, may have it."""
_PLACE = re.compile(rf"(?<![\w.~/])(?={'|'.join(PLACES)})")

_DJANGO_HAS_TASKS = importlib.util.find_spec("django.tasks") is not None
"""From Django 6.0 on."""


class Places:
    """A temporary directory, with free ports."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="docs-"))
        self._ports: dict[str, int] = {}
        self.tasks: dict[str, str] = {}
        """Ids of tasks: in the page -> in the test."""
        for name in DIRECTORIES:
            (self.root / name).mkdir(parents=True)
        (self.root / "run/user/1000").chmod(0o700)

    def remove(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.root, ignore_errors=True)

    def local(self, text: str) -> str:
        """Return a text of the page with the places and ports of the test."""
        for shown, made in self.tasks.items():
            text = text.replace(shown, made)
        if not _DJANGO_HAS_TASKS:
            text = text.replace("from django.tasks import", "from django_tasks import")
        text = re.sub(r"manage\.py runserver$", f"manage.py runserver {self.port('8000')}", text, flags=re.MULTILINE)
        text = _SERVER.sub(rf"\g<1>{self._server_name}", text)
        return _PORT.sub(lambda match: str(self.port(match[1])), _PLACE.sub(str(self.root), text))

    def shown(self, text: str) -> str:
        """Return an output with the places and ports of the page."""
        text = text.replace(str(self.root), "").replace(str(Path(sys.executable).parent), "/srv/shop/venv/bin")
        text = text.replace(self._server_name, "shop")
        for shown, port in self._ports.items():
            text = re.sub(rf"\b{port}\b", shown, text)
        return text

    @property
    def _server_name(self) -> str:
        return f"shop{self.port('8000')}"

    def port(self, shown: str) -> int:
        """Return the port of the test for a port of the page."""
        if shown not in self._ports:
            with socket.create_server(("127.0.0.1", 0)) as server:
                self._ports[shown] = server.getsockname()[1]
        return self._ports[shown]

    def environment(self) -> dict[str, str]:
        """Return the environment variables of all programs. They make web servers listen on the port of the test."""
        port = str(self.port("8000"))
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:{HERE / 'bin'}",
            "HOME": str(self.root / "home/shop"),
            "USER": "shop",
            "LANG": "C.UTF-8",
            "COLUMNS": "160",
            "TZ": "UTC",
            "TMPDIR": str(self.root),
            "XDG_RUNTIME_DIR": str(self.root / "run/user/1000"),
            "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}",
            "UVICORN_PORT": port,
            "GRANIAN_PORT": port,
            "FLASK_RUN_PORT": port,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_ADDOPTS": "-p no:cacheprovider -o asyncio_default_fixture_loop_scope=function",
        }
