"""Options that may be given several times to uWSGI."""

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
def test_a_command_line_says_all(words, name, values):
    """Each time that an option is given counts, whichever way it is written."""
    assert configuration.option_values(name, {}, words) == values


def test_ini_files_say_all(tmp_path):
    """The section `uwsgi`, or the one that is named; included files too, which may include each other."""
    (tmp_path / "a.ini").write_text("[other]\nfarm = x:1\n[uwsgi]\n; farm = no:1\nfarm = a:1, 2\nini = b.ini\nmule\n")
    (tmp_path / "b.ini").write_text("[uwsgi]\nfarm=b:2\ninclude = a.ini\n")
    for words in (["--ini", str(tmp_path / "a.ini")], [str(tmp_path / "a.ini")]):
        farms = configuration.option_values("farm", {}, words)
        assert farms[:2] == ["a:1, 2", "b:2"]
        assert set(farms) == {"a:1, 2", "b:2"}
    assert configuration.option_values("farm", {}, ["--ini", f"{tmp_path}/a.ini:other"]) == ["x:1"]


def test_what_cannot_be_read_leaves_the_word_to_the_server(tmp_path):
    """No file, no such option there: what `uwsgi.opt` says, one value or a list."""
    assert configuration.option_values("farm", {"farm": "a:1"}, ["--ini", str(tmp_path / "none.ini")]) == ["a:1"]
    assert configuration.option_values("farm", {"farm": ["a:1", "b:2"]}, []) == ["a:1", "b:2"]
    assert configuration.option_values("mule", {"mule": True}, []) == [""]
    assert configuration.option_values("farm", {}, []) == []
