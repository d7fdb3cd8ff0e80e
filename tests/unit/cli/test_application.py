"""Applications: how they are named, loaded, and checked before the server starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heliograph import REGISTERED_SIGNALS
from heliograph.application import AppSpec, explain, load, run_in_child, uncalled_factory
from heliograph.cli.preflight import check_app
from heliograph.engines.checking import CheckingEngine
from heliograph.engines.detached import DetachedEngine
from heliograph.exceptions import ConfigError, ServerNotReady
from heliograph.models import Topology

TOPOLOGY = Topology(workers=2, mules=2)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Run in an empty directory. Returns a function that writes a file there."""
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
def test_a_module_has_dots_and_a_callable_a_colon(text, spec):
    """`package.module[:callable]` is parsed, and printed as the same text."""
    assert AppSpec.parse(text, Path("/nowhere")) == spec
    assert str(spec) == text


def test_the_path_of_a_file_becomes_absolute(tmp_path):
    """`path/app.py[:callable]` stays the same application if the server changes its directory."""
    (tmp_path / "app.py").touch()
    assert AppSpec.parse("app.py", tmp_path) == AppSpec(f"{tmp_path}/app.py")
    assert AppSpec.parse("./app.py:web", tmp_path) == AppSpec(f"{tmp_path}/app.py", "web")
    assert AppSpec.parse(f"{tmp_path}/app.py", Path("/")).is_file


@pytest.mark.parametrize(
    "text", ["", ":app", "a-b", "a..b", "a.", "a b", "a:", "a:b.c", "a:1", "a:b(1)", "no.py", "./no"]
)
def test_a_bad_name_is_a_config_error(text, tmp_path):
    """A malformed name or a missing file. The error shows the text."""
    with pytest.raises(ConfigError) as caught:
        AppSpec.parse(text, tmp_path)
    assert repr(text) in str(caught.value)


def test_the_default_callable_is_application(project):
    """Without a name the callable is `application`, if it exists and is callable. Otherwise there is none."""
    project("served.py", "def application(e, s): ...")
    project("signals.py", "app = application = None")
    module, found = load(AppSpec("served"))
    assert found is module.application
    assert load(AppSpec("signals"))[1] is None


def test_a_named_callable_is_found_and_a_factory_called(project):
    """`:name` is that object, and `:name()` is its return value."""
    project("web.py", "def app(e, s): ...\ndef make(): return app\ndef bad(): return 3\nnumber = 3")
    module, found = load(AppSpec("web", "app"))
    assert found is module.app
    assert load(AppSpec("web", "make()"))[1] is module.app
    for name, says in (
        ("nope", "no such callable in web: 'nope'"),
        ("number", r"not a callable in web: 'number' \(int\)"),
        ("bad()", "no callable: int"),
    ):
        with pytest.raises(ConfigError, match=says):
            load(AppSpec("web", name))


FACTORIES = """
def make(config=None, *more, debug=False): ...
def wsgi(environ, start_response): ...
def needs(*, config): ...
class App:
    def __call__(self): ...
app = App()
"""


@pytest.mark.parametrize(
    ("name", "advice"),
    [("make", "shop:make()"), ("make()", ""), ("wsgi", ""), ("needs", ""), ("app", "")],
)
def test_a_factory_that_was_not_called_is_recognized(project, name, advice):
    """It is a function that takes no arguments, unlike an application."""
    path = project("shop.py", FACTORIES.replace("): ...", "): return print"))
    load(AppSpec("shop", name))
    assert uncalled_factory(AppSpec("shop", name)) == advice
    del sys.modules["shop"]
    spec = AppSpec(str(path), name)
    load(spec)
    assert uncalled_factory(spec) == (advice and f"shop.py:{name}()")


def test_an_application_without_a_callable_has_no_factory(project):
    project("shop.py", FACTORIES)
    load(AppSpec("shop"))
    assert uncalled_factory(AppSpec("shop")) == ""


def test_a_file_can_import_modules_of_its_directory(project):
    """As with `python path/app.py`. Such a module can import the file without loading a second copy."""
    project("deep/neighbour.py", "import deepapp\nloads = deepapp.loads")
    path = project("deep/deepapp.py", "loads = globals().get('loads', 0) + 1\nimport neighbour")
    module, _ = load(AppSpec(str(path)))
    assert module.neighbour.loads == 1
    assert module.neighbour.deepapp is module


def test_a_file_does_not_replace_a_module_of_its_name(project):
    """`signal.py` as an application does not replace Python's `signal`."""
    module, _ = load(AppSpec(str(project("signal.py", "mine = True"))))
    assert module.mine
    assert sys.modules["signal"] is signal


def test_the_check_returns_whether_there_is_a_wsgi_callable(project):
    """True with a WSGI callable, False with signals only."""
    project("web.py", "def application(e, s): ...")
    project("tasks.py", "from heliograph import Signal\nSignal(3).register_handler('mule2')(print)")
    assert check_app(AppSpec("web"), TOPOLOGY) is True
    assert check_app(AppSpec("tasks"), TOPOLOGY) is False


def test_the_check_changes_nothing_in_this_process(project, capfd):
    """The application is imported in a child: no module, signal or output stays here, and no hook runs."""
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


def test_an_application_loads_where_standard_input_is_closed(project):
    """Also where all three are. The answer of the child then gets a number that it replaces by the null device."""
    project("tasks.py", "import sys")
    code = (
        "import os; os.closerange(0, 3)\n"
        "from heliograph.application import AppSpec\n"
        "from heliograph.cli.preflight import check_app\n"
        "from heliograph.models import Topology\n"
        "os._exit(0 if check_app(AppSpec('tasks'), Topology(1)) is False else 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_the_check_has_the_topology_of_the_server(project):
    """`workers_count` and targets are those of the server that will start."""
    project("ask.py", "from heliograph import uwsgi\nassert (uwsgi.workers_count, uwsgi.mules_count) == (2, 2)")
    assert check_app(AppSpec("ask"), TOPOLOGY) is False


def explained(app: str) -> str:
    """Return the explanation of an application that does not load."""
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
def test_an_explanation_begins_with_the_application_s_own_code(project, code, begins, ends):
    """It has no frames of heliograph and importlib."""
    project("broken.py", code)
    text = explained("broken")
    assert text.startswith(begins)
    assert text.endswith(ends)
    assert "broken.py" in text
    assert "application.py" not in text
    assert "importlib" not in text


@pytest.mark.parametrize("app", ["nosuch", "nosuch.tasks", "shop.nosuch:app"])
def test_a_missing_application_is_explained_in_one_line(project, app):
    """With the directory from which it must be importable."""
    project("shop/__init__.py", "")
    text = explained(app)
    assert text.startswith("ModuleNotFoundError: No module named ")
    assert text.endswith(f". Check that you can import it from {Path.cwd()}.")
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
def test_an_error_in_an_application_is_one_line_with_its_place(project, text, says):
    """The check names the last line of the error, and the application's own line also if a library raised the error."""
    project("bad.py", text)
    with pytest.raises(ConfigError, match=says) as caught:
        check_app(AppSpec("bad"), TOPOLOGY)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "from django.conf import settings\nsettings.TASKS",
            "Django has no settings: Requested setting TASKS. Set DJANGO_SETTINGS_MODULE, for example to",
        ),
        (
            "from django.conf import settings\nsettings.configure()\nfrom django.contrib.auth.models import User",
            "Django is not set up: Apps aren't loaded yet. Load the project with",
        ),
    ],
)
def test_a_project_of_django_that_is_not_set_up_is_one_line(project, text, says):
    """In a process of its own, since Django is set up once in a process."""
    pytest.importorskip("django")
    project("bad.py", text)
    code = (
        "from heliograph.application import AppSpec, explain, load\n"
        "try: load(AppSpec('bad'))\n"
        "except Exception as error: print(explain(error, 'bad'))"
    )
    environ = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(says)
    assert done.stdout.count("\n") == 1


def test_the_check_names_the_directory_of_a_missing_module(project, tmp_path):
    """A name that cannot be imported gives the directory from which it must be importable."""
    project("shop/__init__.py", "")
    for name in ("nosuchapp", "shop.nosuch", "nosuch.tasks"):
        with pytest.raises(ConfigError, match="ModuleNotFoundError") as caught:
            check_app(AppSpec(name), TOPOLOGY)
        assert f"importable from {tmp_path}" in str(caught.value)


def test_the_check_finds_a_missing_callable(project):
    """`module:nope` fails before the server starts."""
    project("web.py", "")
    with pytest.raises(ConfigError, match="no such callable in web: 'nope'"):
        check_app(AppSpec("web", "nope"), TOPOLOGY)


def test_the_check_accepts_an_application_that_imports_uwsgi(project):
    """The module exists only inside uWSGI, so only the server can tell."""
    project("inside.py", "import uwsgi")
    assert check_app(AppSpec("inside"), TOPOLOGY) is None


def test_the_check_accepts_unknown_targets_if_the_topology_is_not_final(project):
    """The server can have more processes than are known. Other errors are still found."""
    project("many.py", "from heliograph import Signal\nSignal(1).register_handler('mule9')(print)")
    project("bad.py", "import nosuchmodule")
    assert check_app(AppSpec("many"), TOPOLOGY, topology_is_final=False) is None
    with pytest.raises(ConfigError, match="nosuchmodule"):
        check_app(AppSpec("bad"), TOPOLOGY, topology_is_final=False)


def test_the_preflight_engine_is_a_master_that_cannot_send():
    """S13: while the application is loaded, sending and waiting raise ServerNotReady."""
    engine = CheckingEngine(TOPOLOGY)
    assert isinstance(engine, DetachedEngine)
    assert str(engine.identity) == "master"
    for call in (lambda: engine.signal(1, 5.0), lambda: engine.signal_wait(1, None)):
        with pytest.raises(ServerNotReady):
            call()


@pytest.mark.parametrize(
    ("work", "text", "code", "how"),
    [
        (lambda: "x" * 1_000_000, "x" * 1_000_000, 0, "exit code 0"),
        (lambda: "\udc80", "?", 0, "exit code 0"),
        (lambda: os._exit(7), "", 7, "exit code 7"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "", -9, "signal 9"),
    ],
)
def test_a_child_returns_its_text_or_how_it_ended(work, text, code, how):
    """A text of any length."""
    result = run_in_child(work)
    assert (result.text, result.code, result.how) == (text, code, how)


def test_a_child_returns_how_it_ended_to_a_program_that_ignores_sigchld():
    """The program goes on ignoring it."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert run_in_child(lambda: os._exit(7)).code == 7
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_program_that_a_child_started_delays_nothing():
    """It keeps the child's descriptors open."""
    before = time.monotonic()
    orphan = run_in_child(lambda: str(_forked()))
    assert time.monotonic() - before < 5
    os.kill(int(orphan.text), signal.SIGKILL)


def _forked() -> int:
    """Fork a process that waits, and return its id."""
    pid = os.fork()
    if not pid:
        time.sleep(60)
        os._exit(0)
    return pid
