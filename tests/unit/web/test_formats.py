"""Short texts, and HTML that no name can break."""

import pytest

from heliograph.web import formats
from heliograph.web.markup import Markup, element, join, prose, text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.00038, "380 µs"),
        (0.0124, "12.4 ms"),
        (3.21, "3.2 s"),
        (59.9, "59 s"),
        (125, "2 min 5 s"),
        (15_000, "4 h 10 min"),
        (86_400 * 3, "3 d"),
        (-5, "0 µs"),
        (None, formats.NONE),
    ],
)
def test_a_duration_is_short(seconds, expected):
    """Two units at most."""
    assert formats.duration(seconds) == expected


@pytest.mark.parametrize(("number", "expected"), [(0, "0/s"), (0.25, "0.25/s"), (12, "12/s"), (12_345.6, "12,346/s")])
def test_a_rate_is_short(number, expected):
    """Per second."""
    assert formats.rate(number) == expected


@pytest.mark.parametrize(("number", "expected"), [(None, formats.NONE), (12, "12 B"), (34_567_890, "33.0 MiB")])
def test_a_size_has_a_unit(number, expected):
    """Of 1,024 bytes."""
    assert formats.size(number) == expected


def test_a_time_beyond_the_calendar_is_not_shown():
    """A clock that was set wrong must not break the page."""
    assert formats.moment(1e30) == formats.NONE
    assert "2026-11-27" in formats.moment(1_795_800_000)


def test_the_time_of_day_has_a_date_if_it_is_another_one():
    """Most problems are of today."""
    now = 1_795_800_000.0
    assert formats.clock(now - 60, now) == "17:19:00 UTC"
    assert formats.clock(now - 86_400, now) == "2026-11-26 17:20:00 UTC"


def test_texts_and_attributes_are_escaped():
    """Unless they are markup already."""
    evil = """<b>"&'</b>"""
    found = element("a", evil, Markup("<i>x</i>"), href=evil, hidden=True, title=None)
    assert found == (
        '<a href="&lt;b&gt;&quot;&amp;&#x27;&lt;/b&gt;" hidden>&lt;b&gt;&quot;&amp;&#x27;&lt;/b&gt;<i>x</i></a>'
    )
    assert join("<", None, 3) == "&lt;3"


def test_half_a_character_can_be_sent():
    """Names in Python may have lone surrogates, which UTF-8 does not have."""
    assert text("a\ud800b").encode() == b"a?b"


def test_code_in_a_sentence_is_shown_as_code():
    """A single backquote is a character."""
    assert prose("Run `heliograph <x>` now.") == "Run <code>heliograph &lt;x&gt;</code> now."
    assert prose("5` <x>") == "5` &lt;x&gt;"
