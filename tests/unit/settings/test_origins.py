"""Flags win over variables, variables over the file, the file over defaults."""

import itertools

import pytest

from heliograph.exceptions import ConfigError
from heliograph.models import FarmSpec
from heliograph.settings.config_file import ConfigFile
from heliograph.settings.options import OPTIONS
from heliograph.settings.origins import Origin, Places

ROWS = {row.name: row for row in OPTIONS}
FILE = ConfigFile("heliograph.toml", {"mules": 1})


@pytest.mark.parametrize(("flag", "variable", "file"), [*itertools.product([False, True], repeat=3)])
def test_the_strongest_place_that_has_a_value_wins(flag, variable, file):
    """All combinations of the places. The value knows where it came from."""
    places = Places(
        {"mules": "3"} if flag else {}, {"HELIOGRAPH_MULES": "2"} if variable else {}, FILE if file else None
    )
    held = places.hold(ROWS["mules"])
    expected = {
        Origin.FLAG: (3, "--mules"),
        Origin.VARIABLE: (2, "HELIOGRAPH_MULES"),
        Origin.FILE: (1, "heliograph.toml: mules"),
        Origin.DEFAULT: (0, "default"),
    }
    there = [flag, variable, file, True]
    origin = next(origin for origin, is_there in zip(Origin, there, strict=True) if is_there)
    assert (held.origin, held.value, held.place) == (origin, *expected[origin])


def test_a_stronger_value_hides_a_wrong_one():
    """Only the value that holds is read."""
    places = Places({"mules": "3"}, {"HELIOGRAPH_MULES": "many"}, ConfigFile("f", {"mules": "many"}))
    assert places.hold(ROWS["mules"]).value == 3


def test_an_empty_variable_counts_as_not_set():
    """So the file has its turn."""
    assert Places({}, {"HELIOGRAPH_MULES": ""}, FILE).hold(ROWS["mules"]).value == 1
    assert Places({}, {"HELIOGRAPH_LAZY_APPS": ""}).hold(ROWS["lazy_apps"]).origin is Origin.DEFAULT


def test_a_repeatable_option_comes_from_one_place():
    """The farms of the file are not added to those of the variable."""
    file = ConfigFile("f", {"farm": ["c=3"]})
    places = Places({"farms": ("a=1", "b=2")}, {"HELIOGRAPH_FARM": "d=4"}, file)
    assert places.hold(ROWS["farms"]).value == (FarmSpec("a", (1,)), FarmSpec("b", (2,)))
    assert Places({}, {"HELIOGRAPH_FARM": "d=4"}, file).hold(ROWS["farms"]).value == (FarmSpec("d", (4,)),)
    assert Places({}, {}, file).hold(ROWS["farms"]).value == (FarmSpec("c", (3,)),)


@pytest.mark.parametrize(("flag", "expected"), [({}, True), ({"lazy_apps": False}, False)])
def test_a_flag_without_a_value_can_be_taken_back(flag, expected):
    """`--no-lazy-apps` wins over the file, and `HELIOGRAPH_LAZY_APPS=0` does as well."""
    file = ConfigFile("f", {"lazy-apps": True})
    held = Places(flag, {}, file).hold(ROWS["lazy_apps"])
    assert (held.value, held.place) == (expected, "f: lazy-apps" if expected else "--no-lazy-apps")
    assert Places({}, {"HELIOGRAPH_LAZY_APPS": "0"}, file).hold(ROWS["lazy_apps"]).value is False


@pytest.mark.parametrize(
    ("places", "says"),
    [
        (Places({"mules": "x"}, {}), "--mules x: it is not a number. Use 0 or more"),
        (Places({}, {"HELIOGRAPH_MULES": "x"}), "HELIOGRAPH_MULES=x: it is not a number. Use 0 or more"),
        (Places({}, {}, ConfigFile("f", {"mules": "x"})), 'f: mules = "x": it is a text. Use a whole number'),
    ],
)
def test_an_error_names_the_place_of_the_value(places, says):
    """As the user wrote it."""
    with pytest.raises(ConfigError) as caught:
        places.hold(ROWS["mules"])
    assert str(caught.value) == says
