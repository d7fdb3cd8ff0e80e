"""Mules and farms, as values and as the identity of a process."""

from typing import Any

import pytest

from heliograph import Farm, Mule, engines
from heliograph.engines.detached import DetachedEngine
from heliograph.engines.inline import InlineEngine
from heliograph.exceptions import SignalTypeError, TargetError

FARMS: dict[str, list[int]] = {"crunchers": [1, 2], "mail": [3]}


def test_mules_are_equal_by_number() -> None:
    """Two objects with the same number are the same mule."""
    assert Mule(2) == Mule(2) != Mule(1)
    assert len({Mule(2), Mule(2), Mule(1)}) == 2
    assert (Mule(2).id, str(Mule(2)), repr(Mule(2))) == (2, "2", "Mule(2)")
    assert Mule(2) != 2


@pytest.mark.parametrize("number", [0, -1])
def test_mules_are_counted_from_one(number: int) -> None:
    """There is no mule 0, since `mule0` means any mule."""
    with pytest.raises(TargetError, match="counted from 1"):
        Mule(number)


@pytest.mark.parametrize("number", [True, "1", 1.0, None], ids=repr)
def test_mule_number_is_an_int(number: Any) -> None:
    """Other types are a TypeError that shows the value."""
    with pytest.raises(SignalTypeError, match=r"invalid mule: .*Pass the number"):
        Mule(number)


def test_current_mule(heliograph_engine: InlineEngine) -> None:
    """In a mule its number, in other processes 0 and None."""
    with heliograph_engine.as_process("mule2"):
        assert (Mule.get_current_id(), Mule.get_current()) == (2, Mule(2))
    for process in ("worker2", "spooler1", "master"):
        with heliograph_engine.as_process(process):
            assert (Mule.get_current_id(), Mule.get_current()) == (0, None)


def test_farms_are_equal_by_name() -> None:
    """Two objects with the same name are the same farm, whichever mules they list."""
    assert Farm("mail", [3]) == Farm("mail") != Farm("crunchers")
    assert len({Farm("mail"), Farm("mail", [3])}) == 1
    farm = Farm("crunchers", mules=[1, 2])
    assert farm.mules == (Mule(1), Mule(2))
    assert (str(farm), repr(farm)) == ("crunchers: 1, 2", "Farm('crunchers', mules=[1, 2])")
    assert Farm("mail") != "mail"


@pytest.mark.parametrize("name", ["", "x" * 59])
def test_farm_name_must_be_a_valid_target(name: str) -> None:
    """An empty or too long name is rejected."""
    with pytest.raises(TargetError):
        Farm(name)


@pytest.mark.heliograph(mules=3, farms=FARMS)
def test_get_farms(heliograph_engine: InlineEngine) -> None:
    """All farms with their mules, in every process."""
    farms = Farm.get_farms()
    assert [(farm.name, farm.mules) for farm in farms] == [
        ("crunchers", (Mule(1), Mule(2))),
        ("mail", (Mule(3),)),
    ]
    mine: dict[str, list[bool]] = {}
    for process in ("mule1", "mule3", "worker1"):
        with heliograph_engine.as_process(process):
            mine[process] = [farm.is_mine for farm in farms]
    assert mine == {"mule1": [True, False], "mule3": [False, True], "worker1": [False, False]}


def test_get_farms_without_a_server() -> None:
    """The list is empty."""
    with engines.using(DetachedEngine()):
        assert Farm.get_farms() == []
        assert Farm("mail").is_mine is False
        assert (Mule.get_current_id(), Mule.get_current()) == (0, None)
