"""The file of variables."""

import sys

import pytest

from heliograph.settings.env_file import read_env_file

dotenv = pytest.mark.needs("dotenv")


@dotenv
def test_lines_are_variables(tmp_path):
    """With comments, blank lines, `export`, and quotes. A dollar sign is one."""
    (tmp_path / "env").write_text(
        """# a comment

A=1
export B = two words  # a comment
C='single $A'
D="double \\"quoted\\"
on two lines"
E=
F=$A#x
""",
        encoding="utf-8",
    )
    assert read_env_file(tmp_path / "env") == {
        "A": "1",
        "B": "two words",
        "C": "single $A",
        "D": 'double "quoted"\non two lines',
        "E": "",
        "F": "$A#x",
    }


@dotenv
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"A=1\n\n# x\nB\n", r"line 4 is not KEY=VALUE: 'B'\. Correct it"),
        (b"A=1\n\n\nB C=2\nD=3", r"line 4 is not KEY=VALUE: 'B C=2'\. Correct it"),
        (b"A='1\nB=2\n", r"line 1 is not KEY=VALUE: \"A='1\"\. Correct it"),
        (b"A=a\0b", r"line 1 is not KEY=VALUE: 'A=a\\x00b'\. Correct it"),
        (b"A=\xff", r"it cannot be read \(.*can't decode byte 0xff.*\)\. Use another file"),
    ],
)
def test_a_line_that_is_wrong_is_an_error(tmp_path, content, says):
    """With its number and text."""
    (tmp_path / "env").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_env_file(tmp_path / "env")


def test_without_python_dotenv_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "dotenv", None)
    monkeypatch.setitem(sys.modules, "dotenv.parser", None)
    with pytest.raises(ValueError, match=r'python-dotenv is not installed. .*"heliograph\[dotenv\]"'):
        read_env_file(tmp_path / "env")
