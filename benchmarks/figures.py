"""Figures out of rounds: what a row costs more than others, in units of a third, and its limit."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

BARE = "bare"

Rounds = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of a comparison over all rounds, with its quartiles.

    *quiet* is the same of the quickest tenth of each row: what a quiet machine would show.
    *median* is that of the row itself, in seconds, or in requests a second.
    """

    table: str
    name: str
    unit: str
    value: float
    low: float
    high: float
    quiet: float
    median: float
    target: float | None
    limit: float | None
    holds: bool | None

    def json(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        """Return the figure as one line of a terminal."""
        spread = f"[{self.low:+.2f} to {self.high:+.2f}]  quiet {self.quiet:+.2f}"
        told = f"{self.name:52} {self.value:+7.2f} {self.unit:3} {spread}"
        if self.limit is None:
            return told
        target = "" if self.target is None else f"target {self.target:g}, "
        return f"{told}  {target}limit {self.limit:g}: {'holds' if self.holds else 'BROKEN'}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """(row - minus) / over, of each round, so that what slows a round slows all of it.

    The unit is B where something is taken away, and otherwise how many times *over* it is.
    """

    table: str
    name: str
    row: str
    minus: tuple[str, ...] = ()
    over: str = BARE
    target: float | None = None
    limit: float | None = None
    is_at_least: bool = False

    def figure(self, rounds: Rounds) -> Figure:
        rows = [rounds[name] for name in (self.row, self.over, *self.minus)]
        values = [self._of(*numbers) for numbers in zip(*rows, strict=True)]
        low, value, high = statistics.quantiles(values, n=4)
        is_slow_high = not self.is_at_least
        holds = None
        if self.limit is not None:
            holds = value <= self.limit if is_slow_high else value >= self.limit
        return Figure(
            table=self.table,
            name=self.name,
            unit="B" if self.minus else "x",
            value=value,
            low=low,
            high=high,
            quiet=self._of(*(quiet(row, is_slow_high=is_slow_high) for row in rows)),
            median=statistics.median(rounds[self.row]),
            target=self.target,
            limit=self.limit,
            holds=holds,
        )

    @staticmethod
    def _of(row: float, over: float, *minus: float) -> float:
        return (row - sum(minus)) / over


def quiet(numbers: Iterable[float], *, is_slow_high: bool) -> float:
    """Return the border of the quickest tenth."""
    tenths = statistics.quantiles(numbers, n=10)
    return tenths[0 if is_slow_high else -1]
