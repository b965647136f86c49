"""The figures of a soak, and what of them is a problem."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from benchmarks.soak.cold import ColdOutage
from benchmarks.soak.credentials import Kind
from benchmarks.soak.limits import Limits, most_in, within
from benchmarks.soak.processes import Output, ServedApp
from benchmarks.soak.served import APPS
from benchmarks.soak.tally import Tally
from benchmarks.soak.world import World

# Redis was away, and that is said.
_EXPECTED_ERRORS: Final = (
    "ERROR fastapi_scopes the revocation list cannot be asked: ",
    # The start of a server in a cold outage.
    "ERROR fastapi_scopes no keys of ",
)
# SIGTERM, which uvicorn raises once more when it has shut down.
_ENDED_WELL: Final = {0, -15}
_WARM_UP: Final = 5.0
# What lies between the beginning of an attempt and its arrival varies.
_ARRIVAL: Final = 0.25


@dataclass(slots=True)
class Run:
    """The warm part of a soak."""

    seed: int
    served: ServedApp
    began: float
    ended: float = 0
    memory: list[int] = field(default_factory=list)
    """In KiB, every second from when it has warmed up."""
    open_files: list[int] = field(default_factory=list)

    async def watch(self, deadline: float) -> None:
        """Look at the process every second until *deadline*."""
        warm = min(time.time() + _WARM_UP, deadline - 1)
        while time.time() < deadline:
            await asyncio.sleep(1)
            await asyncio.to_thread(self.served.output.scan)
            memory, files = self.served.memory, self.served.open_files
            if time.time() >= warm and memory is not None and files is not None:
                self.memory.append(memory)
                self.open_files.append(files)


@dataclass(frozen=True, slots=True)
class Fetches:
    """How often one verifier asked its issuer."""

    verifier: str
    key_sets: int
    most_key_sets: int
    metadata: int
    most_metadata: int
    in_a_cooldown: int
    """The most key sets within any cooldown; an attempt for an unknown key may follow another."""

    @property
    def problem(self) -> str | None:
        if self.key_sets > self.most_key_sets or self.metadata > self.most_metadata:
            return f"the verifier of /{self.verifier} fetched too often"
        if self.in_a_cooldown > 2:
            return f"the verifier of /{self.verifier} fetched too soon"
        return None


class Report:
    """What there is to say of a soak."""

    def __init__(
        self,
        world: World,
        tally: Tally,
        limits: Limits,
        *,
        run: Run,
        cold: Sequence[ColdOutage],
        most_at_once: int,
    ) -> None:
        self.tally = tally
        self.limits = limits
        self.run = run
        self.cold = cold
        self.most_at_once = most_at_once
        self.seconds = run.ended - run.began
        self.outages = within(world.timeline.issuers_up.spans(False), run.began, run.ended)
        self.faults = Counter(world.faults)
        self.fetches = [self._fetches_of(world, app) for app in APPS]
        self.lines: Counter[str] = sum((each.lines for each in self._outputs), start=Counter[str]())
        self.token_lines = sum(each.token_lines for each in self._outputs)

    @property
    def problems(self) -> list[str]:
        """Why the soak has failed."""
        return list(self._problems())

    @property
    def statuses(self) -> dict[Kind, Counter[int]]:
        counted: dict[Kind, Counter[int]] = {kind: Counter() for kind in Kind}
        for (kind, status), number in self.tally.statuses.items():
            counted[kind][status] += number
        return counted

    @property
    def latencies(self) -> list[tuple[str, str, int, float, float]]:
        """What was out, application, requests, and p50 and p99 in milliseconds."""
        return [
            (out, app, len(values), *_percentiles(values))
            for (out, app), values in sorted(self.tally.latencies.items())
            if len(values) > 1
        ]

    @property
    def document(self) -> dict[str, Any]:
        """All of it, for machines."""
        return {
            "problems": self.problems,
            "seconds": self.seconds,
            "seed": self.run.seed,
            "limits": asdict(self.limits),
            "faults": self.faults,
            "requests": {kind.value: counts for kind, counts in self.statuses.items()},
            "decisive": {kind.value: number for kind, number in self.tally.decisive.items()},
            "wrong": self.tally.wrongs,
            "wrong answers": [asdict(each) for each in self.tally.wrong],
            "server errors": self.tally.server_errors,
            "fetches": [asdict(each) for each in self.fetches],
            "most fetches at once": self.most_at_once,
            "latencies": self.latencies,
            "memory": self.run.memory,
            "open files": self.run.open_files,
            "log": self.lines,
            "lines with a token": self.token_lines,
            "recovered within": {each.fault: each.recovered_within for each in self.cold},
        }

    @property
    def _outputs(self) -> list[Output]:
        return [self.run.served.output, *(each.output for each in self.cold)]

    def _fetches_of(self, world: World, app: str) -> Fetches:
        def arrived(what: str) -> list[float]:
            moments = tuple(world.arrivals[app, what])
            return [each for each in moments if self.run.began <= each <= self.run.ended]

        return Fetches(
            app,
            len(arrived("key set")),
            self.limits.most_attempts(self.seconds, len(self.outages)),
            len(arrived("metadata")),
            self.limits.most_metadata(self.outages),
            most_in(arrived("key set"), self.limits.cooldown - _ARRIVAL),
        )

    def _problems(self) -> Iterator[str]:
        if self.tally.wrongs:
            yield f"{self.tally.wrongs} wrong answers"
        unasked = [kind.value for kind in Kind if not self.tally.decisive[kind]]
        if unasked:
            yield f"never asked, or never so that one answer alone is right: {', '.join(unasked)}"
        yield from (each.problem for each in self.fetches if each.problem is not None)
        if self.most_at_once > 1:
            yield f"{self.most_at_once} fetches at once"
        if self.token_lines:
            yield f"{self.token_lines} lines of the server hold a token"
        unexpected = [
            line for line in self.lines if not line.startswith((*_EXPECTED_ERRORS, "WARNING "))
        ]
        yield from (f"the server wrote: {line}" for line in unexpected)
        if self.run.served.exit_code not in _ENDED_WELL:
            yield f"the server ended with {self.run.served.exit_code}"


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100)
    return round(1000 * cuts[49], 1), round(1000 * cuts[98], 1)


def lines_of(report: Report) -> Iterator[str]:
    """The report as a plain table."""
    yield from _requests(report)
    yield from _wrong(report)
    yield from _fetched(report)
    yield from _latency(report)
    yield from _server(report)
    yield ""
    yield from (f"PROBLEM: {each}" for each in report.problems)
    yield "failed" if report.problems else "nothing was wrong"


def _requests(report: Report) -> Iterator[str]:
    total = sum(report.tally.statuses.values())
    faults = ", ".join(f"{name} {number}" for name, number in report.faults.items())
    yield f"{report.seconds:.0f} s, seed {report.run.seed}, {total} requests"
    yield f"outages of the issuers, cold ones included: {faults}"
    yield ""
    codes = sorted({status for _, status in report.tally.statuses})
    yield f"{'presented':20}" + "".join(f"{code:>9}" for code in codes) + "   one right answer"
    for kind, counts in report.statuses.items():
        asked = sum(counts.values())
        share = report.tally.decisive[kind] / asked if asked else 0
        yield (
            f"{kind.value:20}" + "".join(f"{counts[code]:>9}" for code in codes) + f"{share:>19.1%}"
        )


def _wrong(report: Report) -> Iterator[str]:
    yield ""
    yield f"wrong answers: {report.tally.wrongs}"
    for each in report.tally.wrong:
        yield (
            f"  {each.seconds:7.1f} s {each.kind}, {each.where}: {each.got}, right {each.right}"
            f" ({each.world})"
        )
    yield "answers of 5xx:" + ("" if report.tally.server_errors else " none")
    for cause, number in sorted(report.tally.server_errors.items()):
        yield f"  {number:7} {cause}"


def _fetched(report: Report) -> Iterator[str]:
    limits = report.limits
    yield ""
    settings = f"ttl {limits.ttl:g}, cooldown {limits.cooldown:g}, timeout {limits.timeout:g}"
    yield f"fetches, with {settings}"
    yield "  most key sets: seconds / cooldown + seconds / ttl + outages + 2"
    yield "  most metadata: 1 + for each outage (its seconds + timeout) / cooldown + 1"
    for each in report.fetches:
        yield (
            f"  /{each.verifier}: key set {each.key_sets} of {each.most_key_sets}, at most"
            f" {each.in_a_cooldown} in a cooldown; metadata {each.metadata} of {each.most_metadata}"
        )
    yield f"  at once, of one document: {report.most_at_once}"
    for cold in report.cold:
        within = ", ".join(f"/{app} {each:.1f} s" for app, each in cold.recovered_within.items())
        yield (
            f"  cold outage ({cold.fault}): valid tokens passed after {within}, at most"
            f" {limits.recovery:g}; {cold.most_fetches} fetches in a cooldown"
        )


def _latency(report: Report) -> Iterator[str]:
    yield ""
    yield f"{'valid tokens, ms':34}{'requests':>9}{'p50':>9}{'p99':>9}   to calm"
    calm = {app: (p50, p99) for out, app, _, p50, p99 in report.latencies if out == "calm"}
    for out, app, number, p50, p99 in report.latencies:
        yield f"  {f'/{app}, {out}':32}{number:>9}{p50:>9}{p99:>9}" + (
            f"   {p50 / calm[app][0]:.1f} {p99 / calm[app][1]:.1f}" if app in calm else ""
        )


def _server(report: Report) -> Iterator[str]:
    yield ""
    run = report.run
    if run.memory:
        yield f"memory of the server, KiB: {_course(run.memory)}"
        yield f"open files of the server: {_course(run.open_files)}"
    yield f"lines of the server with a token: {report.token_lines}"
    yield "lines of the server of WARNING and above:" + ("" if report.lines else " none")
    for line, number in report.lines.most_common():
        yield f"  {number:7} {line}"


def _course(values: Sequence[int]) -> str:
    return f"{values[0]} to {values[-1]}, most {max(values)}"
