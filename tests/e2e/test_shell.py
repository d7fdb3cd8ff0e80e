"""Shell completion in real shells, and the man page."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent

BASH = """
set -e
eval "$(_HELIOGRAPH_COMPLETE=bash_source heliograph)"
COMP_WORDS=({words}) COMP_CWORD={index}
_heliograph_completion heliograph
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
compdef() {{ }}
compadd() {{ print -l -- "${{completions[@]}}" }}
_describe() {{ print -l -- "${{completions_with_descriptions[@]}}" }}
eval "$(_HELIOGRAPH_COMPLETE=zsh_source heliograph)"
words=({words}) CURRENT={number}
_heliograph_completion
exit 0
"""
"""`compadd` and `_describe` print what zsh would show."""
FISH = """
_HELIOGRAPH_COMPLETE=fish_source heliograph | source
complete --do-complete "{line}"
"""


def run(shell, *arguments, script):
    if shutil.which(shell) is None:
        pytest.skip(f"not installed: {shell}")
    environment = {"PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "TERM": "dumb"}
    command = [shell, *arguments, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["heliograph", "rel"], "reload"),
        (["heliograph", "tasks", "re"], "restore"),
        (["heliograph", "run", "--grace"], "--graceful-timeout"),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_options_are_completed(shell, words, found):
    """The script of click asks the command for the completions of a line."""
    line, index = " ".join(words), len(words) - 1
    if shell == "bash":
        output = run("bash", "--norc", script=BASH.format(words=line, index=index))
    elif shell == "zsh":
        output = run("zsh", "-f", script=ZSH.format(words=line, number=index + 1))
    else:
        output = run("fish", "--no-config", script=FISH.format(line=line))
    assert found in output
    assert "schedule" not in output


def test_the_man_page_has_no_faults():
    """Of its macros, as groff reads them."""
    if shutil.which("groff") is None:
        pytest.skip("not installed: groff")
    page = Path(__file__).parents[2] / "man/heliograph.1"
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", str(page)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "heliograph reload" in done.stdout
