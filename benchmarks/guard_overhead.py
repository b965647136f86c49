"""What the guard adds to a request, in units of B: the same route in an app without it.

    python -m benchmarks.guard_overhead [--rounds 300] [--json FILE] [--check]
    python -m benchmarks.guard_overhead --peers FOLDER  # made by benchmarks.peers.environments

Three parts. In one process, on one pinned core, all apps take turns in another order each round;
told is CPU, and each round is compared with itself: (ours - bare) / bare. Then two servers take
turns (`throughput.py`). Then peers do, in environments and processes of their own
(`peers/rounds.py`). Of each figure are printed the median of all rounds, its quartiles, and what
the quickest tenth of the rounds says. `--check` ends with 1 if a limit is broken.
"""

import argparse
import asyncio
import json
import signal
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks import throughput
from benchmarks.figures import BARE, Figure
from benchmarks.machine import description
from benchmarks.measures import pinned_to, take_turns, undisturbed
from benchmarks.peers import rounds as peer_rounds
from benchmarks.rows import all_rows


def measure_requests(rounds: int) -> tuple[float, list[Figure]]:
    """Return B in seconds, and the figures of what runs in this process."""
    rows = all_rows()
    with undisturbed():
        times = asyncio.run(take_turns(rows.works, rounds=rounds, seconds=1800, least=0.005))
    taken = {name: each.rounds for name, each in times.items()}
    return statistics.median(taken[BARE]), [each.figure(taken) for each in rows.comparisons]


def show(figures: list[Figure]) -> None:
    for table in dict.fromkeys(figure.table for figure in figures):
        print(f"\n{table}")
        for figure in figures:
            if figure.table == table:
                print(f"  {figure.line()}", flush=True)


def show_peers(rows: list[dict[str, Any]]) -> None:
    print("\npeers: added for 1 route, for the middle of 100")
    for row in rows:
        few, many = row["figures"]
        name = f"{row['algorithm']} {row['name']} {row['version']}"
        spread = f"[{few['low']:+.2f} to {few['high']:+.2f}]"
        print(f"  {name:52} {few['value']:+7.2f} B   {spread}  {many['value']:+7.2f} B")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=300, help="a fifth with processes")
    parser.add_argument("--without-server", action="store_true", help="leave uvicorn out")
    parser.add_argument("--peers", type=Path, help="the folder of the environments of peers")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--check", action="store_true", help="end with 1 if a limit is broken")
    options = parser.parse_args()
    # Whoever ends this run ends the servers as well: SIGTERM alone would leave them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    slow_rounds = max(4, options.rounds // 5)
    cores = throughput.cores()
    peers: list[dict[str, Any]] = []
    with pinned_to(cores.servers):
        bare, figures = measure_requests(options.rounds)
        print(f"B = {bare * 1e6:.1f} us")
        show(figures)
        if options.peers is not None:
            peers = peer_rounds.measure(options.peers, slow_rounds)
            show_peers(peers)
    if not options.without_server:
        served = throughput.measure(slow_rounds, cores)
        show(served)
        figures += served
    if options.json is not None:
        told: dict[str, Any] = {"machine": description(), "bare": bare}
        told |= {"rounds": options.rounds, "slow_rounds": slow_rounds}
        told |= {"figures": [figure.json() for figure in figures], "peers": peers}
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    broken = [figure.name for figure in figures if figure.holds is False]
    print(f"\nlimits that are broken: {', '.join(broken) or 'none'}")
    if options.check and broken:
        sys.exit(1)


if __name__ == "__main__":
    main()
