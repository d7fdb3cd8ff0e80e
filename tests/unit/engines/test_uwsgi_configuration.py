"""Options of uWSGI that may be given several times."""

import importlib.util
from pathlib import Path

import pytest

import heliograph

_PATH = Path(heliograph.__file__).parent / "engines" / "uwsgi" / "configuration.py"
_SPEC = importlib.util.spec_from_file_location("uwsgi_configuration", _PATH)
assert _SPEC is not None
configuration = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(configuration)


@pytest.mark.parametrize(
    ("words", "name", "values"),
    [
        (["--farm", "a:1", "--farm=b:2"], "farm", ["a:1", "b:2"]),
        (["--mule", "--mule=x.py", "--mules", "3"], "mule", ["", "x.py"]),
        (["--mule", "--mule=x.py", "--mules", "3"], "mules", ["3"]),
        (["python", "bin/uwsgi", "--threads=4"], "threads", ["4"]),
        (["--farm"], "farm", [""]),
    ],
)
def test_command_line_options_are_read(words, name, values):
    """Every occurrence of an option counts, in each notation."""
    assert configuration.option_values(name, {}, words) == values


def test_ini_files_are_read(tmp_path):
    """The section `uwsgi`, or the named one, and included files, which may include each other."""
    (tmp_path / "a.ini").write_text("[other]\nfarm = x:1\n[uwsgi]\n; farm = no:1\nfarm = a:1, 2\nini = b.ini\nmule\n")
    (tmp_path / "b.ini").write_text("[uwsgi]\nfarm=b:2\ninclude = a.ini\n")
    for words in (["--ini", str(tmp_path / "a.ini")], [str(tmp_path / "a.ini")]):
        farms = configuration.option_values("farm", {}, words)
        assert farms[:2] == ["a:1, 2", "b:2"]
        assert set(farms) == {"a:1, 2", "b:2"}
    assert configuration.option_values("farm", {}, ["--ini", f"{tmp_path}/a.ini:other"]) == ["x:1"]


def test_fallback_is_the_uwsgi_module(tmp_path):
    """Without a readable file or option, `uwsgi.opt` has the value, as text or as a list."""
    assert configuration.option_values("farm", {"farm": "a:1"}, ["--ini", str(tmp_path / "none.ini")]) == ["a:1"]
    assert configuration.option_values("farm", {"farm": ["a:1", "b:2"]}, []) == ["a:1", "b:2"]
    assert configuration.option_values("mule", {"mule": True}, []) == [""]
    assert configuration.option_values("farm", {}, []) == []
