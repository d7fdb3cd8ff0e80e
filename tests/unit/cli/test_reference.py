"""The generated parts of docs/reference."""

from pathlib import Path

import pytest

from heliograph.cli.reference import BEGIN, END, PAGES, main, part, replaced
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
    main(tmp_path)
    for name in PAGES:
        assert (tmp_path / name).read_text() == f"# Page\n\n{BEGIN}\n\n{part(name)}\n\n{END}\n\nBy hand.\n"


def test_a_page_without_markers_is_refused():
    """Nothing is overwritten."""
    with pytest.raises(ValueError, match="no markers"):
        replaced("# Page\n", "table")
