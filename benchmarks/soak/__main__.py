"""`python -m benchmarks.soak`."""

import argparse
import asyncio
import json
import logging
import sys
import time
from pathlib import Path

from benchmarks.soak.cold import cold_outage
from benchmarks.soak.limits import Limits
from benchmarks.soak.processes import ServedApp
from benchmarks.soak.report import Report, Run, lines_of
from benchmarks.soak.tally import Tally
from benchmarks.soak.traffic import Traffic
from benchmarks.soak.world import World


def main() -> int:
    options = _options()
    # Who revokes here has the same outages as the server, whose log is the one that counts.
    logging.getLogger("fastapi_scopes").setLevel(logging.CRITICAL)
    limits = Limits(options.ttl, options.cooldown, options.timeout)
    report = asyncio.run(soak(options, limits))
    print("\n".join(lines_of(report)))
    if options.json is not None:
        options.json.write_text(json.dumps(report.document, indent=1) + "\n")
    return 1 if report.problems else 0


async def soak(options: argparse.Namespace, limits: Limits) -> Report:
    with World(limits, cycle=options.cycle, client=options.client) as world:
        tally = Tally(world)
        first = await cold_outage(world, tally, limits, fault="refused")
        run = await _warm(world, tally, options)
        last = await cold_outage(world, tally, limits, fault="hang")
        most = max(
            resource.most_at_once
            for issuer in world.issuers.values()
            for resource in (issuer.metadata, issuer.oauth_metadata, issuer.key_set)
        )
        return Report(world, tally, limits, run=run, cold=(first, last), most_at_once=most)


async def _warm(world: World, tally: Tally, options: argparse.Namespace) -> Run:
    served = ServedApp(world.environment)
    run = Run(options.seed, served, time.time())
    async with served:
        deadline = time.time() + 60 * options.minutes
        traffic = Traffic(world, tally, origin=served.origin, seed=str(options.seed))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(world.live(deadline))
            tasks.create_task(traffic.flow(deadline, workers=options.workers))
            tasks.create_task(run.watch(deadline))
    run.ended = time.time()
    return run


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long")
    parser.add_argument("--workers", type=int, default=24, help="requests at a time")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn at random")
    parser.add_argument("--cycle", type=float, default=60, help="seconds from key to key")
    parser.add_argument("--ttl", type=float, default=60, help="of the verifiers, in seconds")
    parser.add_argument("--cooldown", type=float, default=10, help="of the verifiers")
    parser.add_argument("--timeout", type=float, default=5, help="of the verifiers")
    how = "how the clients of Redis are made"
    parser.add_argument("--client", choices=("url", "host"), default="url", help=how)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
