"""Rounds of all participants, in turn: one process each, of which only one works at a time."""

import json
import random
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.figures import Comparison, Figure
from benchmarks.peers.environments import python_of
from benchmarks.peers.participants import PARTICIPANTS, Participant

ROOT = Path(__file__).parents[2]


class Process:
    """The driver of one participant."""

    def __init__(self, participant: Participant, python: Path) -> None:
        self.participant = participant
        self.rounds: dict[str, list[float]] = {}
        self._process = subprocess.Popen(  # noqa: S603
            [python, "-m", "benchmarks.peers.driver", *arguments_of(participant)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.version: str = self._read()["version"]

    def round(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write("\n")
        stdin.flush()
        for row, seconds in self._read().items():
            self.rounds.setdefault(row, []).append(seconds)

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        stdout = self._process.stdout
        assert stdout is not None
        line = stdout.readline()
        if not line:
            _, errors = self._process.communicate()
            raise RuntimeError(errors.strip().rpartition("\n")[2])
        return json.loads(line)


def arguments_of(participant: Participant) -> Sequence[str]:
    return (
        participant.module,
        participant.factory,
        participant.algorithm,
        participant.distribution,
    )


def started(folder: Path, stack: ExitStack) -> Iterable[Process]:
    """Yield a process for each participant that can run, and say which cannot."""
    for participant in PARTICIPANTS:
        python = python_of(participant, folder)
        if not python.exists():
            print(f"{participant.name}: no environment in the folder", file=sys.stderr)
            continue
        try:
            process = Process(participant, python)
        except RuntimeError as error:
            print(f"{participant.name}: {error}", file=sys.stderr)
            continue
        stack.callback(process.stop)
        yield process


def figures_of(process: Process) -> list[Figure]:
    name = f"{process.participant.algorithm}, {process.participant.name}"
    return [
        Comparison(
            "peers", f"{name}, {size}", f"guarded {size}", (f"bare {size}",), over="bare 1"
        ).figure(process.rounds)
        for size in (1, 100)
    ]


def measure(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each participant, with its figures for 1 and for 100 routes."""
    dice = random.Random(0)  # noqa: S311 - no secret
    with ExitStack() as stack:
        processes = [*started(folder, stack)]
        for _ in range(rounds):
            dice.shuffle(processes)
            for process in processes:
                process.round()
    processes.sort(key=lambda process: PARTICIPANTS.index(process.participant))
    return [row_of(process) for process in processes]


def row_of(process: Process) -> dict[str, Any]:
    participant = process.participant
    few, many = figures_of(process)
    return {
        "name": participant.name,
        "algorithm": participant.algorithm,
        "distribution": participant.distribution,
        "version": process.version,
        "is_ours": participant.is_ours,
        "remembers": participant.remembers,
        "figures": [few.json(), many.json()],
    }
