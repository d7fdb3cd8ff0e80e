"""The pytest plugin, as somebody else's test suite uses it."""

from collections.abc import Generator

import pytest

from heliograph import engines
from heliograph.engines.detached import DetachedEngine
from heliograph.runtime.signals import REGISTRY
from heliograph.testing.plugin import _restored_registries

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
    """A directory with an application, `shop`, and room for its tests; they run in this process."""
    pytester.makeini("[pytest]\naddopts = --strict-markers -p no:cacheprovider\nfilterwarnings = error")
    pytester.makepyfile(shop=SHOP)
    pytester.syspathinsert()
    with _restored_registries(), engines.using(DetachedEngine()):
        REGISTRY.clear()
        yield pytester


def outcomes(suite: pytest.Pytester, source: str, **expected: int) -> pytest.RunResult:
    """Run these tests and check how many went how."""
    suite.makepyfile(test_shop=source)
    result = suite.runpytest_inprocess()
    result.assert_outcomes(**expected)
    return result


def test_what_was_registered_at_import_runs(suite: pytest.Pytester) -> None:
    """Signals that a module registered without an engine are known to the fixture's, in every test again."""
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


def test_a_test_says_who_it_is_and_looks_into_queues(suite: pytest.Pytester) -> None:
    """`playing`, `hold` and `waiting`."""
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


def test_what_a_test_registers_is_forgotten(suite: pytest.Pytester) -> None:
    """Tables are as they were, in the same objects; so is the engine, and what was last received."""
    outcomes(
        suite,
        """
        import pytest, shop
        from heliograph import REGISTERED_SIGNALS, Signal, engines, get_available_num, get_last_received
        from heliograph.exceptions import NoEngine
        from heliograph.runtime import signals

        TABLE, BEFORE = REGISTERED_SIGNALS, dict(REGISTERED_SIGNALS)
        FREE = get_available_num()

        def state():
            registry = signals.REGISTRY
            return dict(REGISTERED_SIGNALS), dict(signals._HANDLERS), set(registry.claimed), dict(registry.names)

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
            assert now is TABLE is signals.REGISTRY.registered
            assert now == BEFORE
            assert state() == WAS
            assert get_last_received() == Signal(0)
            with pytest.raises(NoEngine):
                shop.crunch.send()
        """,
        passed=3,
    )


def test_asynchronous_handlers_share_a_loop_within_a_test(suite: pytest.Pytester) -> None:
    """What one leaves there ends with the test, and the next test has another loop."""
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


def test_tables_are_put_back_after_a_test_that_failed(suite: pytest.Pytester) -> None:
    """However a test ends."""
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


def test_a_handler_that_raised_fails_the_test(suite: pytest.Pytester) -> None:
    """At its end, with number, process and exception; the handler's traceback is shown as the cause."""
    result = outcomes(suite, f"{BROKEN}\ndef test_sell(broken):\n    broken.send()\n", passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_sell*",
            "*raise OutOfStock(*",
            "*OutOfStock: no more pears",
            "*direct cause*",
            "*AssertionError: a handler failed, and the test did not look:*",
            "*signal 99 in mule2: OutOfStock: no more pears*",
            "*take_failures()*",
        ]
    )


def test_all_failures_are_told(suite: pytest.Pytester) -> None:
    """More than one are chained as a group."""
    result = outcomes(
        suite, f"{BROKEN}\ndef test_sell(broken):\n    broken.send()\n    broken.send()\n", passed=1, errors=1
    )
    result.stdout.fnmatch_lines(
        ["*ExceptionGroup: handlers failed (2 sub-exceptions)*", "*signal 99 in mule2*", "*signal 99 in mule2*"]
    )


def test_a_failure_that_was_taken_is_the_test_own_business(suite: pytest.Pytester) -> None:
    """`take_failures` gives them once; the test passes, and one that comes later counts."""
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


def test_a_test_that_expects_an_exit_passes(suite: pytest.Pytester) -> None:
    """`SystemExit` goes through `send()`; it is not a failure that was overlooked."""
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


def test_the_marker_makes_the_server(suite: pytest.Pytester) -> None:
    """For a test, a class or a module; what it leaves out is not there, but for one worker."""
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


def test_a_fixture_makes_the_server_for_many(suite: pytest.Pytester) -> None:
    """`heliograph_topology` is overridden in a conftest; a marker goes before it."""
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
        ("mules=1, farms={'crunchers': [2]}", "*ConfigError: farm 'crunchers' has mules*2*, of 1 that there are*"),
        ("mules=1, farms={'crunchers': []}", "*ConfigError: farm 'crunchers'*"),
    ],
)
def test_a_marker_that_is_wrong_is_an_error(suite: pytest.Pytester, arguments: str, said: str) -> None:
    """A typing mistake does not give another server than was meant."""
    source = f"import pytest\n@pytest.mark.heliograph({arguments})\ndef test_it(heliograph_engine): pass\n"
    outcomes(suite, source, errors=1).stdout.fnmatch_lines([said])


def test_an_application_that_needs_another_server_says_so(suite: pytest.Pytester) -> None:
    """A target of the application that the test's server lacks is an error that names the way out."""
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
        ["*TargetError: target 'mule1': this server has no mules*", "*@pytest.mark.heliograph(workers=*"]
    )


def test_the_marker_is_known(suite: pytest.Pytester) -> None:
    """`pytest --markers` explains it."""
    suite.runpytest_inprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.heliograph(workers=1, mules=0*"])


def test_the_fixtures_are_known(suite: pytest.Pytester) -> None:
    """`pytest --fixtures` explains them."""
    result = suite.runpytest_inprocess("--fixtures")
    result.stdout.fnmatch_lines(["heliograph_topology*", "*override it*", "heliograph_engine*", "*this process*"])


def test_who_does_not_use_it_does_not_notice(suite: pytest.Pytester) -> None:
    """In a fresh pytest no engine is imported, and sending is what it is without the plugin."""
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
