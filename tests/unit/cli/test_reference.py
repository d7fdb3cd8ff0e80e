"""The generated parts of docs/reference."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from heliograph.cli import status_reference
from heliograph.cli.reference import BEGIN, END, PAGES, STATUS_BEGIN, STATUS_END, STATUS_PAGE, main, part, replaced
from heliograph.insights import model
from heliograph.settings.config_file import key_of
from heliograph.settings.options import OPTIONS

REFERENCE = Path(__file__).parents[3] / "docs/reference"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_has_the_table_of_options(name):
    """If this fails, run `make reference`."""
    page = (REFERENCE / name).read_text()
    assert replaced(page, part(name)) == page


@pytest.mark.parametrize("name", PAGES)
def test_every_option_is_on_the_page(name):
    """So the table is not empty."""
    page = (REFERENCE / name).read_text()
    assert [row.name for row in OPTIONS if row.flag not in page and f"`{key_of(row)}`" not in page] == []


def test_the_program_replaces_the_text_between_the_markers(tmp_path):
    """And leaves the rest of the pages as it is."""
    for name in PAGES:
        (tmp_path / name).write_text(f"# Page\n\n{BEGIN}\nold\n{END}\n\nBy hand.\n")
    (tmp_path / STATUS_PAGE).write_text(f"# State\n\n{STATUS_BEGIN}\nold\n{STATUS_END}\n")
    main(tmp_path)
    assert "old" not in (tmp_path / STATUS_PAGE).read_text()
    assert json.loads((tmp_path / status_reference.SCHEMA).read_text())["title"] == "heliograph status --json"
    for name in PAGES:
        assert (tmp_path / name).read_text() == f"# Page\n\n{BEGIN}\n\n{part(name)}\n\n{END}\n\nBy hand.\n"


def test_a_page_without_markers_is_refused():
    """Nothing is overwritten."""
    with pytest.raises(ValueError, match="no markers"):
        replaced("# Page\n", "table")


def test_the_page_of_the_state_has_all_values():
    """If this fails, run `make reference`."""
    page = (REFERENCE / STATUS_PAGE).read_text()
    assert replaced(page, status_reference.part(), STATUS_BEGIN, STATUS_END) == page
    assert (REFERENCE / status_reference.SCHEMA).read_text() == status_reference.schema()
    for value in status_reference.values():
        assert f"## {value.name}" in page
        assert [field.name for field in value.fields] == [field.name for field in fields(getattr(model, value.name))]


def test_the_page_of_the_state_says_what_a_field_means():
    """In the words of JSON, and with the docstring of the field."""
    page = (REFERENCE / STATUS_PAGE).read_text()
    assert "| `pid` | integer or null |  |" in page
    assert "| `problems` | list of [Problem](#problem) | Worst first. Empty: the server is well. |" in page
    assert "| `kind` | `timer`, `cron`, `file` |  |" in page
    assert "| `severity` | `critical`, `warning` |  |" in page
    assert "| `buckets` | list of pairs | Upper bound in seconds" in page
    assert "| `hung_handler` | critical |" in page


def test_the_schema_describes_the_state():
    found = json.loads(status_reference.schema())
    assert found["$ref"] == "#/$defs/ServerState"
    process = found["$defs"]["ProcessState"]["properties"]
    assert process["restarts"] == {"type": "integer", "description": "Number of starts after the first one."}
    assert found["$defs"]["Problem"]["properties"]["severity"]["enum"] == ["critical", "warning"]
