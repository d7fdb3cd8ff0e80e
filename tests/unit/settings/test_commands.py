"""The table of commands: each mistake is an error that names the key, the value and the way out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from heliograph.exceptions import ConfigError
from heliograph.settings.commands import Command, check_commands, read_commands
from heliograph.settings.make import from_keywords


def read(**table):
    return read_commands("heliograph.toml: commands", table)


def test_a_text_is_the_whole_command():
    """It is split as a shell does, and restarted always."""
    assert read(assets="npm run 'watch all'") == (Command("assets", ("npm", "run", "watch all")),)
    assert read(bot=["python", "bot.py"]) == (Command("bot", ("python", "bot.py")),)


def test_a_table_has_the_policies_too():
    """And the directory and the variables."""
    table = {
        "command": ["python", "bot.py"],
        "restart": "on-failure",
        "reload": "hang-up",
        "directory": "bot",
        "environment": {"LEVEL": "debug"},
    }
    (command,) = read(bot=table)
    assert command == Command("bot", ("python", "bot.py"), "on-failure", "hang-up", Path("bot"), {"LEVEL": "debug"})


def test_the_order_of_the_file_is_kept():
    """Commands start in that order."""
    assert [command.name for command in read(b="true", a="true")] == ["b", "a"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("Bot", "x", '.Bot = "x": not a name of a command. Use small letters, digits and -, and a letter first'),
        ("1st", "x", "not a name of a command"),
        ("a_b", "x", "not a name of a command"),
        ("", "x", "not a name of a command"),
        ("worker", "x", "the name means another process: worker. Use another one"),
        ("mule2", "x", "the name means another process: mule2"),
        ("web-server", "x", "the name means another process"),
        ("reloader", "x", "the name means another process"),
        ("bot", 1, ".bot = 1: it is a number. Use a text, or a list of words such as"),
        ("bot", "", '.bot = "": it is empty. Use a text such as "python bot.py"'),
        ("bot", [], ".bot = []: it is empty"),
        ("bot", ["python", 1], "not all of its words are texts"),
        ("bot", "python 'bot", "it cannot be split into words"),
        ("bot", "a && b", 'no shell runs it, and && is for a shell. Use a list: ["sh", "-c", "..."]'),
        ("bot", "serve --port $PORT", "and $PORT is for a shell"),
        ("bot", "LEVEL=1 python bot.py", "and LEVEL=1 is for a shell"),
        ("bot", "a > log", "and > is for a shell"),
        ("bot", {}, '.bot = {}: it has no command. Add command = "..."'),
        ("bot", {"comand": "x"}, '.bot.comand = "x": unknown key. Did you mean command?'),
        ("bot", {"command": "x", "zzz": 1}, ".bot.zzz = 1: unknown key. Use one of: command, restart, reload,"),
        ("bot", {"command": "x", "restart": "on_failure"}, "unknown word. Did you mean on-failure?"),
        (
            "bot",
            {"command": "x", "restart": True},
            ".bot.restart = true: unknown word. Use one of: always,",
        ),
        ("bot", {"command": "x", "reload": "hup"}, "unknown word."),
        ("bot", {"command": "x", "directory": 1}, ".bot.directory = 1: it is a number. Use the path of a directory"),
        ("bot", {"command": "x", "environment": "A=1"}, "it is a text. Use a table such as"),
        ("bot", {"command": "x", "environment": {"A": 1}}, ".bot.environment.A = 1: it is a number. Use a text"),
        ("bot", {"command": "x", "environment": {"A=B": "1"}}, "not a variable. Use a name without ="),
    ],
)
def test_a_mistake_is_an_error(name, value, says):
    """It begins with the file and the key."""
    with pytest.raises(ConfigError) as error:
        read(**{name: value})
    assert str(error.value).startswith(f"heliograph.toml: commands.{name}")
    assert says in str(error.value)


def test_commands_are_a_table():
    """A program may pass anything to `serve()`."""
    with pytest.raises(ConfigError, match=r"commands = \[\"bot\"\]: it is a list. Use a table such as"):
        read_commands("commands", ["bot"])


def test_words_of_a_list_reach_the_program_as_they_are():
    """No shell is meant, so nothing in them is for a shell."""
    assert read(bot=["sh", "-c", "A=$B && c"])[0].argv == ("sh", "-c", "A=$B && c")


def test_programs_and_directories_must_exist(tmp_path, monkeypatch):
    """A relative program begins in the directory of the command."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "run").symlink_to(sys.executable)
    (tmp_path / "bot" / "notes").touch()
    good = [
        Command("a", ("python", "x")),
        Command("b", ("./run",), directory=Path("bot")),
        Command("c", (sys.executable,)),
    ]
    check_commands("commands", good)
    for command, says in [
        (Command("bot", ("no-such-program",)), "commands.bot: command not found: 'no-such-program'"),
        (Command("bot", ("./run",)), "commands.bot: command not found: './run'"),
        (Command("bot", ("./notes",), directory=Path("bot")), "commands.bot: command not found: './notes'"),
        (Command("bot", ("python",), directory=Path("no")), "commands.bot: not a directory: 'no'. Create it"),
    ]:
        with pytest.raises(ConfigError) as error:
            check_commands("commands", [*good, command])
        assert str(error.value) == says


def test_a_program_passes_commands_to_serve():
    """As in the file. Errors begin with the keyword."""
    settings = from_keywords("tasks", (), {}, {"bot": {"command": ["true"], "restart": "never"}})
    assert settings.commands == (Command("bot", ("true",), "never"),)
    assert from_keywords("tasks", (), {}).commands == ()
    with pytest.raises(ConfigError, match=r"commands\.bot: command not found: 'no-such-program'"):
        from_keywords("tasks", (), {}, {"bot": "no-such-program"})
