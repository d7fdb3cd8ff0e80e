"""Where an application is, how it is loaded, and how it is rehearsed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from heliograph import REGISTERED_SIGNALS
from heliograph.application import AppSpec, explain, load
from heliograph.cli.preflight import PreflightEngine, check_app
from heliograph.engines.detached import DetachedEngine
from heliograph.exceptions import ConfigError, ServerNotReady
from heliograph.models import Topology

TOPOLOGY = Topology(workers=2, mules=2)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty directory to run in; gives a function that writes a file there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("tasks", AppSpec("tasks")),
        ("shop.tasks", AppSpec("shop.tasks")),
        ("shop.wsgi:app", AppSpec("shop.wsgi", "app")),
        ("shop.wsgi:make()", AppSpec("shop.wsgi", "make()")),
    ],
)
def test_a_module_is_named_with_dots_and_a_callable_with_a_colon(text, spec):
    """`package.module[:callable]`, and back to the same text."""
    assert AppSpec.parse(text, Path("/nowhere")) == spec
    assert str(spec) == text


def test_a_file_is_found_from_the_directory_and_kept_absolute(tmp_path):
    """`path/app.py[:callable]` is the same application wherever the server changes to."""
    (tmp_path / "app.py").touch()
    assert AppSpec.parse("app.py", tmp_path) == AppSpec(f"{tmp_path}/app.py")
    assert AppSpec.parse("./app.py:web", tmp_path) == AppSpec(f"{tmp_path}/app.py", "web")
    assert AppSpec.parse(f"{tmp_path}/app.py", Path("/")).is_file


@pytest.mark.parametrize(
    "text", ["", ":app", "a-b", "a..b", "a.", "a b", "a:", "a:b.c", "a:1", "a:b(1)", "no.py", "./no"]
)
def test_what_names_no_application_is_refused(text, tmp_path):
    """A malformed name, or a file that is not there, is a ConfigError that shows it."""
    with pytest.raises(ConfigError) as caught:
        AppSpec.parse(text, tmp_path)
    assert repr(text) in str(caught.value)


def test_the_default_callable_is_application(project):
    """Without a name `application` is served, if it is there and can be called; else there are only signals."""
    project("served.py", "def application(e, s): ...")
    project("signals.py", "app = application = None")
    module, found = load(AppSpec("served"))
    assert found is module.application
    assert load(AppSpec("signals"))[1] is None


def test_a_named_callable_is_found_and_a_factory_called(project):
    """`:name` is that object; `:name()` is what it makes."""
    project("web.py", "def app(e, s): ...\ndef make(): return app\ndef bad(): return 3\nnumber = 3")
    module, found = load(AppSpec("web", "app"))
    assert found is module.app
    assert load(AppSpec("web", "make()"))[1] is module.app
    for name, says in (("nope", "has no 'nope'"), ("number", "not callable but of type int"), ("bad()", "made a int")):
        with pytest.raises(ConfigError, match=says):
            load(AppSpec("web", name))


def test_a_file_can_import_what_lies_beside_it(project):
    """A file is loaded as `python path/app.py` would; a module beside it may import it back without a second copy."""
    project("deep/neighbour.py", "import deepapp\nloads = deepapp.loads")
    path = project("deep/deepapp.py", "loads = globals().get('loads', 0) + 1\nimport neighbour")
    module, _ = load(AppSpec(str(path)))
    assert module.neighbour.loads == 1
    assert module.neighbour.deepapp is module


def test_a_file_does_not_replace_a_module_of_its_name(project):
    """`signal.py` as an application leaves Python's own `signal` alone."""
    import signal

    module, _ = load(AppSpec(str(project("signal.py", "mine = True"))))
    assert module.mine
    assert sys.modules["signal"] is signal


def test_a_rehearsal_tells_whether_there_is_something_to_serve(project):
    """True with a WSGI callable, False with signals only."""
    project("web.py", "def application(e, s): ...")
    project("tasks.py", "from heliograph import Signal\nSignal(3).register_handler('mule2')(print)")
    assert check_app(AppSpec("web"), TOPOLOGY) is True
    assert check_app(AppSpec("tasks"), TOPOLOGY) is False


def test_a_rehearsal_leaves_nothing_behind(project, capfd):
    """The application is imported in a child: no module, no signal, no output, no hook run stays here."""
    project(
        "loud.py",
        "import os\nfrom heliograph import Signal, uwsgi\nprint('loud')\nos.write(2, b'loud')\n"
        "Signal(201).register_handler()(print)\nos.environ['LOUD'] = 'yes'\n"
        "@uwsgi.postfork_hooks.add()\ndef hook(): open('hooked', 'w').close()\n",
    )
    assert check_app(AppSpec("loud"), TOPOLOGY) is False
    assert "loud" not in sys.modules
    assert 201 not in REGISTERED_SIGNALS
    assert "LOUD" not in os.environ
    assert capfd.readouterr() == ("", "")
    assert not Path("hooked").exists()


def test_a_rehearsal_knows_the_processes_to_come(project):
    """`workers_count` and targets are those of the server that will start."""
    project("ask.py", "from heliograph import uwsgi\nassert (uwsgi.workers_count, uwsgi.mules_count) == (2, 2)")
    assert check_app(AppSpec("ask"), TOPOLOGY) is False


def explained(app: str) -> str:
    """What is said of an application that does not load."""
    with pytest.raises((SyntaxError, ImportError, ZeroDivisionError)) as caught:
        load(AppSpec.parse(app, Path.cwd()))
    trace = caught.value.__traceback__
    assert trace is not None
    return explain(caught.value.with_traceback(trace.tb_next), app)  # without the frame of this test


@pytest.mark.parametrize(
    ("code", "begins", "ends"),
    [
        ("1 / 0", "Traceback", "ZeroDivisionError: division by zero"),
        ("def broken(:", "File", "SyntaxError: invalid syntax"),
        ("import nothing_of_that_name", "Traceback", "No module named 'nothing_of_that_name'"),
    ],
)
def test_an_error_is_explained_from_the_applications_own_code_on(project, code, begins, ends):
    """How it came to be loaded is not told."""
    project("broken.py", code)
    text = explained("broken")
    assert text.startswith(begins)
    assert text.endswith(ends)
    assert "broken.py" in text
    assert "application.py" not in text
    assert "importlib" not in text


@pytest.mark.parametrize("app", ["nosuch", "nosuch.tasks", "shop.nosuch:app"])
def test_an_application_that_is_not_there_is_one_line(project, app):
    """Which says from where it was looked for."""
    project("shop/__init__.py", "")
    text = explained(app)
    assert text.startswith("ModuleNotFoundError: No module named ")
    assert text.endswith(f"; is it importable from {Path.cwd()}?")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "from heliograph import Signal\n\nSignal(1).register_handler('mule9')(print)",
            r"bad\.py:3: .*'mule9'.*2 mules",
        ),
        ("from heliograph import Signal\nSignal(1).send()", r"bad\.py:2: .*ServerNotReady: .*still loading"),
        ("from heliograph import Signal\nSignal(1).wait()", r"bad\.py:2: .*ServerNotReady"),
        ("import nosuchmodule", r"bad\.py:1: ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("def f(:", r"bad\.py:1: SyntaxError"),
        ("import json\njson.loads('{')", r"bad\.py:2: json\.decoder\.JSONDecodeError"),
        ("raise SystemExit('no config')", r"bad\.py:1: SystemExit: no config"),
        ("import os\nos._exit(7)", r"ended the process \(exit code 7\)"),
        ("import os\nos.kill(os.getpid(), 9)", r"ended the process \(signal 9\)"),
    ],
)
def test_what_is_wrong_with_an_application_is_one_line_and_its_place(project, text, says):
    """A rehearsal fails with the last line of the error and the application's own line, also from inside a library."""
    project("bad.py", text)
    with pytest.raises(ConfigError, match=says) as caught:
        check_app(AppSpec("bad"), TOPOLOGY)
    assert "Traceback" not in str(caught.value)


def test_a_module_that_is_not_there_is_asked_for_where_one_stands(project, tmp_path):
    """A name that cannot be imported says from where it was tried."""
    project("shop/__init__.py", "")
    for name in ("nosuchapp", "shop.nosuch", "nosuch.tasks"):
        with pytest.raises(ConfigError, match="ModuleNotFoundError") as caught:
            check_app(AppSpec(name), TOPOLOGY)
        assert f"importable from {tmp_path}" in str(caught.value)


def test_a_missing_callable_is_found_in_the_rehearsal(project):
    """`module:nope` fails before the server starts."""
    project("web.py", "")
    with pytest.raises(ConfigError, match="web has no 'nope'"):
        check_app(AppSpec("web", "nope"), TOPOLOGY)


def test_an_application_that_needs_the_server_to_load_is_left_to_the_server(project):
    """`import uwsgi` works only inside uWSGI: the rehearsal cannot tell, and does not refuse."""
    project("inside.py", "import uwsgi")
    assert check_app(AppSpec("inside"), TOPOLOGY) is None


def test_with_an_unsure_topology_targets_are_left_to_the_server(project):
    """Where the server may have more processes than are known, a target is not refused; all else is."""
    project("many.py", "from heliograph import Signal\nSignal(1).register_handler('mule9')(print)")
    project("bad.py", "import nosuchmodule")
    assert check_app(AppSpec("many"), TOPOLOGY, topology_is_final=False) is None
    with pytest.raises(ConfigError, match="nosuchmodule"):
        check_app(AppSpec("bad"), TOPOLOGY, topology_is_final=False)


def test_the_loading_master_is_a_master_that_cannot_send():
    """S13: while the application is loaded, sending and waiting say that the server is not up yet."""
    engine = PreflightEngine(TOPOLOGY)
    assert isinstance(engine, DetachedEngine)
    assert str(engine.identity) == "master"
    for call in (lambda: engine.signal(1, 5.0), lambda: engine.signal_wait(1, None)):
        with pytest.raises(ServerNotReady):
            call()
