"""Mules and farms: as values, and as who one is."""

from typing import Any

import pytest

from heliograph import Farm, Mule, engines
from heliograph.engines.detached import DetachedEngine
from heliograph.engines.inline import InlineEngine
from heliograph.exceptions import SignalTypeError, TargetError

FARMS: dict[str, list[int]] = {"crunchers": [1, 2], "mail": [3]}


def test_a_mule_is_its_number() -> None:
    """Two objects of one number are the same mule."""
    assert Mule(2) == Mule(2) != Mule(1)
    assert len({Mule(2), Mule(2), Mule(1)}) == 2
    assert (Mule(2).id, str(Mule(2)), repr(Mule(2))) == (2, "2", "Mule(2)")
    assert Mule(2) != 2


@pytest.mark.parametrize("number", [0, -1])
def test_mules_are_counted_from_one(number: int) -> None:
    """There is no mule 0: `mule0` means any."""
    with pytest.raises(TargetError, match="counted from 1"):
        Mule(number)


@pytest.mark.parametrize("number", [True, "1", 1.0, None], ids=repr)
def test_a_mule_is_named_by_an_int(number: Any) -> None:
    """Anything else is a TypeError that shows it."""
    with pytest.raises(SignalTypeError, match="by its number, not"):
        Mule(number)


def test_who_is_a_mule_knows_it(heliograph_engine: InlineEngine) -> None:
    """In a mule its number, elsewhere 0 and None."""
    with heliograph_engine.as_process("mule2"):
        assert (Mule.get_current_id(), Mule.get_current()) == (2, Mule(2))
    for who in ("worker2", "spooler1", "master"):
        with heliograph_engine.as_process(who):
            assert (Mule.get_current_id(), Mule.get_current()) == (0, None)


def test_a_farm_is_its_name() -> None:
    """Two objects of one name are the same farm, whoever is said to be in it."""
    assert Farm("mail", [3]) == Farm("mail") != Farm("crunchers")
    assert len({Farm("mail"), Farm("mail", [3])}) == 1
    farm = Farm("crunchers", mules=[1, 2])
    assert farm.mules == (Mule(1), Mule(2))
    assert (str(farm), repr(farm)) == ("crunchers: 1, 2", "Farm('crunchers', mules=[1, 2])")
    assert Farm("mail") != "mail"


@pytest.mark.parametrize("name", ["", "x" * 59])
def test_a_farm_has_a_name_that_can_be_a_target(name: str) -> None:
    """Empty or longer than uWSGI keeps: refused where it is written."""
    with pytest.raises(TargetError):
        Farm(name)


@pytest.mark.heliograph(mules=3, farms=FARMS)
def test_the_farms_of_the_server(heliograph_engine: InlineEngine) -> None:
    """All of them with their mules, in every process."""
    farms = Farm.get_farms()
    assert [(farm.name, farm.mules) for farm in farms] == [
        ("crunchers", (Mule(1), Mule(2))),
        ("mail", (Mule(3),)),
    ]
    mine: dict[str, list[bool]] = {}
    for who in ("mule1", "mule3", "worker1"):
        with heliograph_engine.as_process(who):
            mine[who] = [farm.is_mine for farm in farms]
    assert mine == {"mule1": [True, False], "mule3": [False, True], "worker1": [False, False]}


def test_without_a_server_there_are_none() -> None:
    """Asking does no harm where nothing runs."""
    with engines.using(DetachedEngine()):
        assert Farm.get_farms() == []
        assert Farm("mail").is_mine is False
        assert (Mule.get_current_id(), Mule.get_current()) == (0, None)
