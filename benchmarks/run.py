"""Compare heliograph with its peers on this machine.

python benchmarks/run.py [--quick] [--write | --no-write] [SCENARIO ...]

Print a report per scenario and write it to `results/`. `--quick` runs each scenario for a few seconds and writes
nothing unless you add `--write`. It checks that the benchmarks run. Its figures mean nothing.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from types import FrameType
from typing import NoReturn

from lib import environment
from lib.repetitions import Plan
from lib.report import Skipped
from scenarios import SCENARIOS

_RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the scenarios that the command line selects."""
    options = _parse()
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGHUP, _exit)
    plan = Plan(repetitions=1 if options.quick else options.repetitions, quick=options.quick)
    for name in options.scenarios or SCENARIOS:
        about = environment.describe()
        try:
            text = SCENARIOS[name](plan).markdown(about)
        except Skipped as reason:
            print(f"{name}: skipped: {reason}", flush=True)
            continue
        print(text, flush=True)
        if options.write if options.write is not None else not options.quick:
            (_RESULTS / f"{name}.md").write_text(text)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare heliograph with its peers on this machine.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"{', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="run one short repetition, write nothing")
    parser.add_argument(
        "--write", action=argparse.BooleanOptionalAction, help="write results/ (default: yes, with --quick no)"
    )
    parser.add_argument(
        "--repetitions", type=int, default=5, metavar="N", help="repetitions of each measurement (default: 5)"
    )
    options = parser.parse_args()
    unknown = set(options.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"unknown scenario: {', '.join(sorted(unknown))}. Choose from: {', '.join(SCENARIOS)}.")
    return options


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    """Exit as on Ctrl-C, so that every server is stopped too."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
