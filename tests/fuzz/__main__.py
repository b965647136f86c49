"""The long run: random requests to random applications, as many as wanted.

    python -m tests.fuzz --requests 1000000 [--seed N]

The seed is that of the first application; the others follow it. It ends with 1 where anything
is not as it must be, and says with which seed that is to be seen again.
"""

import argparse
import asyncio
import sys
import time
from itertools import count

from tests.fuzz.differential import FAILURES, PER_APPLICATION, REQUESTS, Report, ask_application

_TOLD = 5
"""How many failures of a kind are printed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=PER_APPLICATION)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    report = asyncio.run(_run(options.requests, options.seed))
    for name, number in [*report.counts.items(), *sorted(report.reached.items())]:
        if name not in FAILURES:
            _say(f"{number:10,}  {name}")
    for kind in FAILURES:
        _say(f"{report.counts[kind]:10,}  {kind}")
    return 1 if report.failures else 0


async def _run(requests: int, first: int) -> Report:
    report, told, began = Report(), 0, time.monotonic()
    for seed in count(first):
        await ask_application(seed, report)
        for number, failure in enumerate(report.failures[told:], start=told):
            kinds = [each.kind for each in report.failures[:number]]
            if kinds.count(failure.kind) < _TOLD:
                _say(str(failure))
        told = len(report.failures)
        done = report.counts[REQUESTS]
        if (seed - first) % 100 == 99:
            pace = done / (time.monotonic() - began)
            _say(f"{done:,} requests, {pace:,.0f} a second; {told} failures; seed {seed}")
        if done >= requests:
            break
    return report


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
