"""The columns that fit, the order of rows, and texts that are too long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heliograph.top.columns import GAP, cell, clipped, fit, in_order, matches, number, words

NAME = words("NAME", 6, lambda row: row[0])
COUNT = number("COUNT", 5, lambda row: row[1], str)
RARE = number("RARE", 8, lambda row: row[1], str, 2)
NOTE = words("NOTE", 4, lambda row: row[2], 1, keeps_end=True)
COLUMNS = (NAME, COUNT, RARE, NOTE)
ROWS = [("mule1", 3, "shop.mail:send"), ("Worker1", None, ""), ("farm", 20, "note")]


def titles(width):
    return [column.title for column, _ in fit(COLUMNS, ROWS, width)]


def test_columns_with_the_highest_rank_go_first():
    assert titles(80) == ["NAME", "COUNT", "RARE", "NOTE"]
    assert titles(25) == ["NAME", "COUNT", "NOTE"]
    assert titles(18) == ["NAME", "COUNT"]


def test_columns_without_a_rank_stay_however_narrow_it_is():
    assert titles(1) == ["NAME", "COUNT"]


def test_an_extra_column_does_not_shorten_names():
    """In a wide terminal, the whole name tells more than one more number."""
    extra = number("EXTRA", 5, lambda row: row[1], str, 5)
    rows = [("shop.reports:monthly_report", 1)]
    assert [(column.title, width) for column, width in fit((NAME, extra), rows, 33)] == [("NAME", 27)]
    assert [column.title for column, _ in fit((NAME, extra), rows, 34)] == ["NAME", "EXTRA"]


@given(st.integers(13, 200))
def test_the_columns_fill_no_more_than_the_width(width):
    assert sum(found + GAP for _, found in fit(COLUMNS, ROWS, width)) - GAP <= width


def test_texts_take_the_space_that_is_left_up_to_the_longest():
    widths = {column.title: width for column, width in fit(COLUMNS, ROWS, 200)}
    assert widths == {"NAME": 7, "COUNT": 5, "RARE": 8, "NOTE": 14}


def test_a_long_text_loses_its_end_or_its_beginning():
    assert clipped("shop.mail:send", 8) == "shop.ma…"
    assert clipped("shop.mail:send", 8, keeps_end=True) == "…il:send"
    assert clipped("mail", 8) == "mail"
    assert clipped("mail", 1) == "…"
    assert not clipped("mail", 0)


def test_a_text_cannot_steer_the_terminal():
    assert clipped("a\x1b[31mb\nc", 20) == "a\\x1b[31mb c"


def test_numbers_are_aligned_to_the_right_and_texts_to_the_left():
    assert cell(COUNT, ROWS[0], 5) == "    3"
    assert cell(COUNT, ROWS[1], 5) == "    -"
    assert cell(NAME, ROWS[0], 7) == "mule1  "


def test_numbers_are_sorted_from_the_largest_texts_from_a_and_missing_ones_last():
    assert [row[0] for row in in_order(ROWS, COUNT, is_reversed=False)] == ["farm", "mule1", "Worker1"]
    assert [row[0] for row in in_order(ROWS, COUNT, is_reversed=True)] == ["mule1", "farm", "Worker1"]
    assert [row[0] for row in in_order(ROWS, NAME, is_reversed=False)] == ["farm", "mule1", "Worker1"]
    assert [row[0] for row in in_order(ROWS, NOTE, is_reversed=True)] == ["mule1", "farm", "Worker1"]
    assert in_order(ROWS, None, is_reversed=False) == ROWS


def test_a_row_matches_a_text_in_any_of_its_columns_and_in_any_case():
    assert matches(COLUMNS, ROWS[0], "SEND")
    assert matches(COLUMNS, ROWS[2], "20")
    assert matches(COLUMNS, ROWS[0], "")
    assert not matches(COLUMNS, ROWS[0], "spooler")
