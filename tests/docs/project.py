"""The project of a page: a temporary directory with a shell, a server and a Python session."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from output import matches
from places import HERE, Places
from servers import IS_SERVER, TIMEOUT, PageError, Server

_ONLY_LOOKS = re.compile(r"heliograph (?:signals|tasks$|status|schedule|stack)\b")
"""Commands that may be repeated until they show what the page shows, because the server needs a moment."""

_TASK = re.compile(r"\b[0-9a-f]+-[0-9a-f]{16}\b")
_NOT_IMPORTED = re.compile(r"conftest$|manage$|uwsgi_|gunicorn\.conf$")
"""Modules that need pytest, Django or uWSGI."""


class Project:
    """What the blocks of a page run in. They see `/srv/shop` as the working directory."""

    def __init__(self) -> None:
        self._places = Places()
        self._state = self._places.root / "state.sh"
        self._directory = self._places.root / "srv/shop"
        self._server: Server | None = None
        self._session: Session | None = None
        self._files: list[Path] = []

    def finish(self) -> None:
        """Stop the server, import the modules of the page, and run its test files."""
        if self._server is not None:
            self._server.stop()
        modules = [path for path in self._files if path.suffix == ".py" and path.exists()]
        tests = [path.name for path in modules if path.name.startswith("test_")]
        if tests:
            self._check("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
        names = [".".join(path.relative_to(self._directory).with_suffix("").parts) for path in modules]
        names = [name for name in names if f"{name}.py" not in tests and not _NOT_IMPORTED.match(name)]
        if names:
            django = ["manage.py", "shell"] if (self._directory / "manage.py").exists() else []
            self._check(*django, "-c", f"import {', '.join(names)}")

    def close(self) -> None:
        """End all processes, and remove the directory."""
        if self._server is not None:
            self._server.kill()
        if self._session is not None:
            self._session.close()
        self._places.remove()

    def copy(self, name: str) -> None:
        """Begin with the files of a directory in tests/docs/projects, if there is one of this name."""
        if (HERE / "projects" / name).is_dir():
            shutil.copytree(HERE / "projects" / name, self._directory, dirs_exist_ok=True)

    def write(self, name: str, text: str, *, append: bool) -> None:
        """Write a file of the page."""
        path = self._directory / self._places.local(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        before = f"{path.read_text()}\n\n" if append else ""
        path.write_text(before + self._places.local(text))
        self._files = [*(file for file in self._files if file != path), path]

    def python(self, page: str, line: int, text: str) -> None:
        """Run a block in the Python session."""
        if self._session is None:
            self._session = Session(self._directory, self._places)
        self._session.run({"page": page, "line": line, "text": self._places.local(text)})

    def console(self, text: str) -> None:
        """Run the commands of a block, and compare their output."""
        for command, shown in commands(text):
            if IS_SERVER.match(command):
                self._start_server(command)
            else:
                self._run(command, shown)

    def expect(self, shown: str) -> None:
        """Wait until the server has printed these lines since the last command."""
        if self._server is None:
            raise PageError("no server runs")
        self._server.expect(shown)

    def _run(self, command: str, shown: str) -> None:
        if self._server is not None and not _ONLY_LOOKS.match(command):
            self._server.mark()
        code, printed = self._shell(command)
        deadline = time.monotonic() + TIMEOUT
        while shown and not matches(shown, printed) and _ONLY_LOOKS.match(command) and time.monotonic() < deadline:
            time.sleep(0.1)
            code, printed = self._shell(command)
        self._places.tasks.update(zip(_TASK.findall(shown), _TASK.findall(printed), strict=False))
        if (shown and not matches(shown, printed)) or (not shown and code):
            log = self._server.output if self._server is not None else ""
            raise PageError(f"$ {command}\n{printed}(exit code {code})\n\ninstead of\n\n{shown}\n\n{log}")

    def _shell(self, command: str) -> tuple[int, str]:
        """Run a command. Return its exit code and output."""
        keep = f"\ncode=$?\n{{ echo \"cd '$PWD'\"; export -p; }} >{self._state}\nexit $code\n"
        done = subprocess.run(
            ["bash", "-c", f"{self._script(command, prelude=HERE / 'prelude.sh')}{keep}"],
            env=self._places.environment(),
            cwd=self._directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )
        self._directory = self._working_directory()
        return done.returncode, self._places.shown(done.stdout.decode())

    def _start_server(self, command: str) -> None:
        if self._server is not None:
            self._server.stop()
        self._server = Server(self._script(f"exec env {command}"), command, self._places)
        self._server.wait_until_ready()

    def _script(self, command: str, prelude: Path | None = None) -> str:
        """Return a command with the directory and the variables that the shell had after the last one."""
        sources = [prelude] if prelude is not None else []
        sources += [self._state] if self._state.exists() else []
        lines = [f"cd {self._directory}", *(f"source {path}" for path in sources), self._places.local(command)]
        return "\n".join(lines)

    def _working_directory(self) -> Path:
        line = self._state.read_text().partition("\n")[0] if self._state.exists() else ""
        return Path(line.removeprefix("cd '").removesuffix("'")) if line else self._directory

    def _check(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**self._places.environment(), "HELIOGRAPH_ENGINE": "inline"},
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        if done.returncode:
            raise PageError(f"{arguments}\n{self._places.shown(done.stdout + done.stderr)}")


class Session:
    """A Python process that runs blocks in one namespace: session.py."""

    def __init__(self, directory: Path, places: Places) -> None:
        read, write = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "session.py"), str(write)],
            cwd=directory,
            env={**places.environment(), "HELIOGRAPH_ENGINE": "inline"},
            stdin=subprocess.PIPE,
            pass_fds=[write],
            text=True,
        )
        os.close(write)
        self._answers = os.fdopen(read)

    def run(self, block: dict[str, object]) -> None:
        """Run a block. Raises `PageError` with the traceback."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(block) + "\n")
        self._process.stdin.flush()
        answer = self._answers.readline()
        error = json.loads(answer) if answer else "the Python session has ended"
        if error:
            raise PageError(error)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._answers.close()


def commands(text: str) -> list[tuple[str, str]]:
    """Return the commands of a block, each with the output that the block shows."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif not found:
            raise PageError(f"the block does not begin with a command: {line}")
        elif found[-1][0].endswith("\\"):
            found[-1] = (f"{found[-1][0][:-1]}{line.strip()}", [])
        else:
            found[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in found]
