"""The man page is made from the commands."""

from pathlib import Path

import click

from heliograph.cli import main as heliograph
from heliograph.cli.man_page import FILE, page, write

ROOT = Path(__file__).parents[3]


def test_the_man_page_is_up_to_date():
    """If this fails, run `make reference`."""
    assert (ROOT / FILE).read_text() == page()


def test_each_command_and_option_is_in_the_man_page():
    text = page().replace("\\-", "-")
    assert isinstance(heliograph, click.Group)
    for name, command in heliograph.commands.items():
        assert f'.SS "heliograph {name} ' in text
        context = click.Context(command, info_name=name)
        records = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
        assert [record[0] for record in records if record and f"\\fB{record[0]}\\fR" not in text] == []
    assert '.SS "heliograph tasks retry ' in text


def test_texts_are_escaped():
    """A dash is a minus, and a line that begins with a dot is no macro."""
    command = click.Command("tool", help=".dotted\n\nuse C:\\dir and --flag\n\n\b\n$ tool --x\n$ tool")
    text = page(command)
    assert "\\&.dotted" in text
    assert "use C:\\edir and \\-\\-flag" in text
    assert ".nf\n$ tool \\-\\-x\n$ tool\n.fi" in text


def test_the_page_is_written(tmp_path):
    write(tmp_path / "man/tool.1")
    assert (tmp_path / "man/tool.1").read_text() == page()
