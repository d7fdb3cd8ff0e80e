"""The fork server: loads the application, then forks workers, mules and spoolers when the master asks.

The master starts it with the options and the `sys.path` of its own interpreter, and with the inherited state in the
environment. A process is forked twice, so that it becomes the master's own child: the master is the subreaper of all
its descendants. The new process begins only after the fork server has reported it to the master. If the fork server is
killed in between, the new process exits. With `--lazy-apps` each process loads the application itself, and the fork
server loads it only in a child that exits at once, to check that it can be loaded.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from heliograph import engines
from heliograph._core.layout import IncompatibleServer
from heliograph._core.supervision.children import EXIT_RECYCLED
from heliograph.application import AppSpec, explain, load, run_in_child, uncalled_factory
from heliograph.engines.local import closed_descriptors
from heliograph.engines.local.engine import LocalEngine
from heliograph.engines.local.limits import begin_limits, report_limit
from heliograph.engines.local.sigterm import let_sigterm_arrive
from heliograph.engines.task_stores import import_store
from heliograph.ipc.inherited import InheritedState, report_to_master
from heliograph.ipc.prctl import set_child_subreaper, set_parent_death_signal
from heliograph.ipc.process_title import set_process_title
from heliograph.ipc.stack_files import answer_stack_requests, stack_name
from heliograph.models import Identity
from heliograph.server.processes import early_sigterm, exit_functions
from heliograph.server.processes.double_fork import fork_to_subreaper
from heliograph.server.processes.last_functions import hooks_at_end
from heliograph.server.processes.web_check import check_web_application
from heliograph.settings.logs import configure_logging

_LOG = logging.getLogger("heliograph.local")
_MAX_REASON_BYTES = 3000
"""Bytes of a traceback that go into a report. Its end is kept."""


def main() -> None:
    """Load the application, report that, and fork until the master closes the pipe for commands."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        inherited = InheritedState.inherited()
    except IncompatibleServer as error:  # the master has got a report
        raise SystemExit(1) from error
    for fd in inherited.descriptors.values():
        os.set_inheritable(fd, False)
    set_parent_death_signal(inherited.master, signal.SIGKILL)
    _ignore_terminal_signals()
    early_sigterm.install()
    answer_stack_requests(inherited.descriptors.get("stack"))
    _flush_lines()
    set_process_title(f"heliograph: fork server of {inherited.settings.app}")
    config = inherited.settings.log_config
    try:
        configure_logging(inherited.settings.log_level, Path(config) if config else None)
        engine = LocalEngine(inherited)
    except (IncompatibleServer, ValueError) as error:
        report_to_master(inherited, failed=str(error))
        raise SystemExit(1) from error
    engine.memory.staged.clear()
    failure = _check_web_application(inherited)
    engines.keep(engine)
    failure = failure or (_check_load(engine) if inherited.settings.lazy else _load(engine))
    if failure is not None:
        report_to_master(inherited, failed=_end_of(failure))
        exit_functions.leave(1)
    answer_stack_requests(inherited.descriptors.get("stack"))
    report_to_master(inherited, ready=True, uncalled=uncalled_factory(_spec(inherited)))
    _fork_on_command(engine)
    exit_functions.leave(0)


def _fork_on_command(engine: LocalEngine) -> None:
    with os.fdopen(engine.inherited.commands, encoding="ascii", closefd=False) as commands:
        for line in commands:
            role, number = line.split()
            _fork(engine, Identity(role, int(number)))  # type: ignore[arg-type]  # the master writes roles only


def _fork(engine: LocalEngine, process: Identity) -> None:
    try:
        start, tell = os.pipe()
        try:
            set_child_subreaper(False)  # The application may have made this process one, and the master must be it.
            with early_sigterm.kept_in_child():
                pid = fork_to_subreaper()
        except OSError:
            os.close(start)
            os.close(tell)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        report_to_master(engine.inherited, fork_failed=[process.role, process.number], reason=reason)
        return
    if not pid:
        os.close(tell)
        answer_stack_requests(engine.inherited.descriptors.get(stack_name(process)))
        if not os.read(start, 1):
            os._exit(1)  # The fork server has exited, and the master does not know this process.
        os.close(start)
        _serve(engine, process)
    os.close(start)
    report_to_master(engine.inherited, forked=[process.role, process.number], pid=pid)
    with contextlib.suppress(BrokenPipeError):  # The new process was killed, and SIGCHLD reports that.
        os.write(tell, b"\0")
    os.close(tell)


def _serve(engine: LocalEngine, process: Identity) -> NoReturn:
    """Handle signals as a worker, mule or spooler until the master sends SIGTERM."""
    inherited = engine.inherited
    set_parent_death_signal(inherited.master, signal.SIGKILL)
    exit_functions.leave_to_parent()
    os.close(inherited.commands)
    os.close(inherited.descriptors["stack"])
    set_process_title(f"heliograph: {process} of {inherited.settings.app}")
    receiver = engine.become_process(process)
    receiver.drain_on_sigterm()
    let_sigterm_arrive()
    receiver.drain_on_end_of(inherited.descriptors["alive"])
    if early_sigterm.received():
        receiver.drain()
    if inherited.settings.lazy:
        failure = _load(engine)
        if failure is not None:
            _LOG.error("Cannot load the application in %s:\n%s", process, failure)
            raise SystemExit(1)
    _start(engine)
    let_sigterm_arrive()
    answer_stack_requests(inherited.descriptors.get(stack_name(process)))
    set_parent_death_signal(inherited.master, signal.SIGKILL)  # A hook that calls `os.setuid` has cleared it.
    try:
        report_to_master(inherited, up=[process.role, process.number])
    except OSError as error:
        closed_descriptors.end(error)
    begin_limits(receiver, process)
    with hooks_at_end(engine.run_stop_hooks, inherited.settings.graceful_timeout):
        receiver.run()
        report_limit(receiver, inherited, process)
    raise SystemExit(EXIT_RECYCLED)


def _start(engine: LocalEngine) -> None:
    """Run the hooks for the start. The process ends if one fails, as it does if it cannot load the application."""
    try:
        engine.start()
    except Exception:  # noqa: BLE001 - a hook may raise any
        _LOG.exception("Cannot start %s", engine.identity)
        raise SystemExit(1) from None


def _spec(inherited: InheritedState) -> AppSpec:
    return AppSpec.parse(inherited.settings.app, Path.cwd())


def _load(engine: LocalEngine) -> str | None:
    """Load the application. Return the reason if that fails, else None."""
    try:
        load(_spec(engine.inherited))
    except BaseException as error:  # noqa: BLE001 - SystemExit too
        return explain(error, engine.inherited.settings.app)
    engine.freeze_registration()
    if engine.memory.staged.wakeups():
        import_store()
    return None


def _check_web_application(inherited: InheritedState) -> str | None:
    """Import the web application, unless the server starts: then its web server reports an error itself."""
    command = inherited.settings.checked_command
    if not command or inherited.generation == 1:
        return None
    return check_web_application(command, inherited.settings.topology)


def _check_load(engine: LocalEngine) -> str | None:
    """Load the application in a child that leaves only the routes in shared memory. Return the reason of a failure."""
    parent = os.getpid()

    def work() -> str:
        set_parent_death_signal(parent, signal.SIGKILL)  # The master kills the parent if the load takes too long.
        return _load(engine) or ""

    result = run_in_child(work)
    return result.text or (f"importing it ended the process ({result.how})" if result.code else None)


def _end_of(text: str) -> str:
    """Return the end of a text, as much of it as fits into a report."""
    while len(json.dumps(text, ensure_ascii=False).encode(errors="replace")) > _MAX_REASON_BYTES:
        text = text[len(text) // 4 + 1 :]
    return text.encode(errors="replace").decode()


def _flush_lines() -> None:
    """Let each line that a handler prints reach a pipe or a file at once, as it reaches a terminal."""
    stdout: Any = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):  # None if the descriptor was closed
        stdout.reconfigure(line_buffering=True)


def _ignore_terminal_signals() -> None:
    """Leave Ctrl-C and a hang-up of the terminal to the master."""
    # A handler that does nothing, since programs that the application starts would inherit an ignored signal.
    for signum in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda _signum, _frame: None)
