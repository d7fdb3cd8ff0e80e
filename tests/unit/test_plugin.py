"""The pytest plugin in the test suite of an application."""

from collections.abc import Generator

import pytest

from heliograph import engines
from heliograph.engines.detached import DetachedEngine
from heliograph.runtime.handlers import REGISTRY
from heliograph.testing.inline import _restored_registries

SHOP = """
import itertools
from heliograph import Signal, Mule

refresh, crunch, report = Signal(), Signal(), Signal(name="report")
runs = []

@refresh.register_handler("workers")
def refresh_prices():
    runs.append("refresh")

@crunch.register_handler(Mule(1))
def crunch_numbers(num):
    runs.append(num)
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Generator[pytest.Pytester]:
    """A directory with the application `shop`. Its tests run in this process."""
    pytester.makeini("[pytest]\naddopts = --strict-markers -p no:cacheprovider -p no:asyncio\nfilterwarnings = error")
    pytester.makepyfile(shop=SHOP)
    pytester.syspathinsert()
    with _restored_registries(), engines.using(DetachedEngine()):
        REGISTRY.clear()
        yield pytester


def outcomes(suite: pytest.Pytester, source: str, **expected: int) -> pytest.RunResult:
    """Run these tests and check the numbers of outcomes."""
    suite.makepyfile(test_shop=source)
    result = suite.runpytest_inprocess()
    result.assert_outcomes(**expected)
    return result


def test_handlers_that_were_registered_at_import_run(suite: pytest.Pytester) -> None:
    """The fixture registers them with the engine of each test."""
    outcomes(
        suite,
        """
        import pytest, shop

        @pytest.mark.parametrize("again", [1, 2])
        def test_send(heliograph_engine, again):
            del shop.runs[:]
            shop.refresh.send()
            shop.crunch.send()
            assert shop.runs == ["refresh", "refresh", int(shop.crunch)]
            assert [str(run.by) for run in heliograph_engine.handled] == ["worker1", "worker2", "mule1"]
            assert [(sent.num, str(sent.by)) for sent in heliograph_engine.sent] == [
                (int(shop.refresh), "worker1"), (int(shop.crunch), "worker1")
            ]
        """,
        passed=2,
    )


def test_a_test_can_act_as_a_process_and_read_queues(suite: pytest.Pytester) -> None:
    """`as_process`, `paused` and `queued`."""
    outcomes(
        suite,
        """
        import shop
        from heliograph import uwsgi

        def test_who(heliograph_engine):
            with heliograph_engine.as_process("worker2"), heliograph_engine.paused():
                assert uwsgi.worker_id == 2
                shop.crunch.send()
                assert heliograph_engine.queued("mule1") == (int(shop.crunch),)
                assert heliograph_engine.handled == []
            assert str(heliograph_engine.sent[0].by) == "worker2"
            assert heliograph_engine.queued("mule1") == ()
            assert len(heliograph_engine.handled) == 1
        """,
        passed=1,
    )


def test_registrations_of_a_test_are_removed_after_it(suite: pytest.Pytester) -> None:
    """The registries are the same objects as before. The engine and the last received signal are restored too."""
    outcomes(
        suite,
        """
        import pytest, shop
        from heliograph import REGISTERED_SIGNALS, Signal, engines, get_available_num, get_last_received
        from heliograph.exceptions import NoEngine
        from heliograph.runtime import handlers

        TABLE, BEFORE = REGISTERED_SIGNALS, dict(REGISTERED_SIGNALS)
        FREE = get_available_num()

        def state():
            registry = handlers.REGISTRY
            return dict(REGISTERED_SIGNALS), dict(handlers.HANDLERS), set(registry.claimed), dict(registry.names)

        WAS = state()

        @pytest.mark.parametrize("again", [1, 2])
        def test_change_all(heliograph_engine, again):
            assert get_available_num() == FREE
            Signal().register_handler()(print)
            Signal()
            assert shop.report == Signal(name="report")
            assert Signal(132).name == "report"
            assert Signal(name="of this test").register_handler()(print)
            shop.crunch.register_handler("spooler")(lambda: None)
            with heliograph_engine.paused(), heliograph_engine.as_process("mule2"):
                Signal(42).register_handler("mule2")(print)
                Signal(42).send()
                Signal(42).wait()
            assert get_last_received() == Signal(42)
            del REGISTERED_SIGNALS[int(shop.refresh)]

        def test_after():
            from heliograph.runtime.signals import REGISTERED_SIGNALS as now
            assert now is TABLE is handlers.REGISTRY.registered
            assert now == BEFORE
            assert state() == WAS
            assert get_last_received() == Signal(0)
            with pytest.raises(NoEngine):
                shop.crunch.send()
        """,
        passed=3,
    )


def test_async_handlers_of_a_test_share_a_loop(suite: pytest.Pytester) -> None:
    """The loop closes and its tasks end with the test. The next test has another loop."""
    outcomes(
        suite,
        """
        import asyncio
        import pytest
        from heliograph import Signal

        loops, ended = [], []

        async def linger():
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append(True)

        @pytest.mark.parametrize("again", [1, 2])
        def test_async(heliograph_engine, again):
            assert len(ended) == again - 1

            @Signal(99)
            async def handler():
                loops.append(asyncio.get_running_loop())
                task = asyncio.create_task(linger())
                await asyncio.sleep(0)

            Signal(99).send()
            assert len(ended) == again - 1

        def test_after():
            assert ended == [True, True]
            assert loops[0] is not loops[1]
            assert all(loop.is_closed() for loop in loops)
        """,
        passed=3,
    )


def test_registries_are_restored_after_a_failed_test(suite: pytest.Pytester) -> None:
    """The next test does not see the registration."""
    outcomes(
        suite,
        """
        from heliograph import REGISTERED_SIGNALS, Signal

        def test_fails(heliograph_engine):
            Signal(77).register_handler()(print)
            raise LookupError

        def test_after():
            assert 77 not in REGISTERED_SIGNALS
        """,
        failed=1,
        passed=1,
    )


BROKEN = """
import pytest
from heliograph import Signal

class OutOfStock(Exception):
    pass

@pytest.fixture
def broken(heliograph_engine):
    @Signal(99).register_handler("mule2")
    def sell():
        raise OutOfStock("no more pears")
    return Signal(99)
"""


def test_an_exception_in_a_handler_fails_the_test(suite: pytest.Pytester) -> None:
    """At its end. The report has number, process and exception, and the traceback of the handler as the cause."""
    result = outcomes(suite, f"{BROKEN}\ndef test_sell(broken):\n    broken.send()\n", passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_sell*",
            "*raise OutOfStock(*",
            "*OutOfStock: no more pears",
            "*direct cause*",
            "*AssertionError: Handlers raised exceptions:*",
            "*signal 99 in mule2: OutOfStock: no more pears*",
            "*take_failures()*",
        ]
    )


def test_several_exceptions_become_a_group(suite: pytest.Pytester) -> None:
    """Each is in the report."""
    result = outcomes(
        suite, f"{BROKEN}\ndef test_sell(broken):\n    broken.send()\n    broken.send()\n", passed=1, errors=1
    )
    result.stdout.fnmatch_lines(
        ["*ExceptionGroup: handlers failed (2 sub-exceptions)*", "*signal 99 in mule2*", "*signal 99 in mule2*"]
    )


FAILING = """
import pytest
from heliograph import task

@pytest.fixture
def sell(heliograph_engine):
    def sell(what):
        raise LookupError(f"no more {what}")
    return task(name="shop:sell")(sell)
"""


def test_an_exception_in_a_task_fails_the_test(suite: pytest.Pytester) -> None:
    """At its end. The report has name, status and traceback."""
    source = f"{BROKEN}{FAILING}\ndef test_sell(sell, broken):\n    broken.send()\n    sell.enqueue('pears')\n"
    result = outcomes(suite, source, passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*AssertionError: Handlers raised exceptions:*",
            "*AssertionError: Tasks failed:*",
            "*shop:sell, task *, FAILED after attempt 1:*",
            "*raise LookupError(*",
            "*LookupError: no more pears*",
            "*take_failed_tasks()*",
        ]
    )


def test_a_test_can_expect_that_a_task_fails(suite: pytest.Pytester) -> None:
    """It reads the result, or takes the failed tasks. A later failure fails the test."""
    outcomes(
        suite,
        f"""{FAILING}
def test_reads(sell):
    result = sell.enqueue("pears").wait()
    assert "no more pears" in result.errors[0].traceback

def test_takes(sell, heliograph_engine):
    sell.enqueue("plums")
    [failed] = heliograph_engine.take_failed_tasks()
    assert (failed.args, failed.status.name) == (["plums"], "FAILED")

def test_takes_too_early(sell, heliograph_engine):
    sell.enqueue("plums").wait()
    assert heliograph_engine.take_failed_tasks() == ()
    sell.enqueue("pears")
""",
        passed=3,
        errors=1,
    )


def test_a_test_can_take_the_exceptions(suite: pytest.Pytester) -> None:
    """`take_failures` returns each once. Later exceptions fail the test."""
    outcomes(
        suite,
        f"""{BROKEN}
def test_looks(broken, heliograph_engine):
    broken.send()
    [failed] = heliograph_engine.take_failures()
    assert (failed.num, str(failed.by)) == (99, "mule2")
    assert isinstance(failed.failure, OutOfStock)
    assert heliograph_engine.take_failures() == ()
    assert heliograph_engine.handled == [failed]

def test_looks_too_early(broken, heliograph_engine):
    assert heliograph_engine.take_failures() == ()
    broken.send()
""",
        passed=2,
        errors=1,
    )


def test_a_test_can_expect_system_exit(suite: pytest.Pytester) -> None:
    """`SystemExit` passes through `send()` and is not an unexpected exception."""
    outcomes(
        suite,
        """
        import pytest, sys
        from heliograph import Signal

        def test_exit(heliograph_engine):
            Signal(99).register_handler()(lambda: sys.exit(3))
            with pytest.raises(SystemExit, match="3"):
                Signal(99).send()
            assert isinstance(heliograph_engine.handled[0].failure, SystemExit)
        """,
        passed=1,
    )


def test_the_marker_sets_the_topology(suite: pytest.Pytester) -> None:
    """For a test, a class or a module. Processes that it does not name do not exist, except one worker."""
    outcomes(
        suite,
        """
        import pytest
        from heliograph.models import FarmSpec, Topology

        pytestmark = pytest.mark.heliograph(workers=2, mules=1)

        @pytest.mark.heliograph(workers=4, mules=2, farms={"crunchers": [1, 2]}, spoolers=1)
        def test_all(heliograph_engine):
            assert heliograph_engine.topology == Topology(4, 2, (FarmSpec("crunchers", (1, 2)),), 1)

        @pytest.mark.heliograph(mules=1)
        def test_one(heliograph_engine):
            assert heliograph_engine.topology == Topology(1, 1)

        def test_module(heliograph_engine):
            assert heliograph_engine.topology == Topology(2, 1)
        """,
        passed=3,
    )


def test_a_fixture_sets_the_topology(suite: pytest.Pytester) -> None:
    """`heliograph_topology` in a conftest. A marker has priority."""
    suite.makeconftest(
        """
        import pytest
        from heliograph.models import Topology

        @pytest.fixture
        def heliograph_topology():
            return Topology(workers=7)
        """
    )
    outcomes(
        suite,
        """
        import pytest

        def test_fixture(heliograph_engine):
            assert heliograph_engine.topology.workers == 7

        @pytest.mark.heliograph(workers=3)
        def test_marker(heliograph_engine):
            assert heliograph_engine.topology.workers == 3
        """,
        passed=2,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("wrokers=4", "*wrokers*"),
        ("4", "*positional*"),
        ("mules=1, farms={'crunchers': [2]}", "*ConfigError: farm 'crunchers': there is no mule 2*"),
        ("mules=1, farms={'crunchers': []}", "*ConfigError: farm 'crunchers'*"),
    ],
)
def test_an_invalid_marker_is_an_error(suite: pytest.Pytester, arguments: str, said: str) -> None:
    """A typing mistake does not change the topology silently."""
    source = f"import pytest\n@pytest.mark.heliograph({arguments})\ndef test_it(heliograph_engine): pass\n"
    outcomes(suite, source, errors=1).stdout.fnmatch_lines([said])


def test_a_target_that_the_topology_lacks_is_an_error(suite: pytest.Pytester) -> None:
    """The message names the marker and the fixture."""
    result = outcomes(
        suite,
        """
        import pytest, shop
        from heliograph import REGISTERED_SIGNALS, engines

        @pytest.mark.heliograph(workers=1)
        def test_it(heliograph_engine):
            pass
        """,
        errors=1,
    )
    result.stdout.fnmatch_lines(
        ["*TargetError: invalid target 'mule1': this server has no mules*", "*@pytest.mark.heliograph(workers=*"]
    )


def test_pytest_lists_the_marker(suite: pytest.Pytester) -> None:
    """`pytest --markers` explains it."""
    suite.runpytest_inprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.heliograph(workers=1, mules=0*"])


def test_pytest_lists_the_fixtures(suite: pytest.Pytester) -> None:
    """`pytest --fixtures` explains them."""
    result = suite.runpytest_inprocess("--fixtures")
    result.stdout.fnmatch_lines(["heliograph_topology*", "*override*", "heliograph_engine*", "*this process*"])


def test_the_plugin_imports_nothing_until_a_test_uses_it(suite: pytest.Pytester) -> None:
    """A new pytest process does not import the engine."""
    suite.makepyfile(
        test_plain="""
        import sys

        def test_plain():
            loaded = [name for name in sys.modules if name.startswith("heliograph")]
            assert "heliograph.testing.plugin" in loaded
            assert not [name for name in loaded if "inline" in name or "conformance" in name]
        """
    )
    suite.runpytest_subprocess().assert_outcomes(passed=1)
