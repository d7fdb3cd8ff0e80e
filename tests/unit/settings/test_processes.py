"""The check of workers, mules and farms."""

import pytest

from heliograph.models import FarmSpec, Topology
from heliograph.settings.processes import check_farms, check_topology


@pytest.mark.parametrize(
    ("farms", "mules", "says"),
    [
        ([FarmSpec("a", (3,))], 2, "'a': there is no mule 3. This server has mules 1 to 2"),
        ([FarmSpec("a", (0,))], 2, "'a': there is no mule 0"),
        ([FarmSpec("a", (2,))], 1, "'a': there is no mule 2. This server has mule 1 "),
        ([FarmSpec("a", (1,))], 0, "'a': there is no mule 1. This server has no mules"),
        ([FarmSpec("a", (1, 1))], 2, "'a': a mule is in it twice"),
        ([FarmSpec("a", ())], 2, "'a': it has no mules"),
        ([FarmSpec("a", (1,)), FarmSpec("a", (2,))], 2, "there already is a farm 'a'"),
    ],
)
def test_a_farm_that_cannot_exist_is_refused_by_name(farms, mules, says):
    """By both functions, with the same message."""
    for check in (check_farms, check_topology):
        with pytest.raises(ValueError, match=says):
            check(Topology(workers=1, mules=mules, farms=tuple(farms)))


def test_farms_can_share_mules():
    """Each farm has its own name."""
    farms = (FarmSpec("a", (2, 1)), FarmSpec("b", (2,)))
    assert check_topology(Topology(mules=2, farms=farms)) is None


@pytest.mark.parametrize("topology", [Topology(workers=1), Topology(mules=1), Topology(spoolers=1)])
def test_one_process_is_enough(topology):
    """Of any kind."""
    assert check_topology(topology) is None


def test_a_server_without_a_process_is_refused():
    """Farms of no mules do not count. A test engine without processes has no farms to check."""
    with pytest.raises(ValueError, match="at least one process"):
        check_topology(Topology())
    assert check_farms(Topology()) is None
