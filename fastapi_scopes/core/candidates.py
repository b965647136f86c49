"""The rules that match an endpoint, and why one of them decides there."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from fastapi_scopes.core.methods import MOUNT
from fastapi_scopes.core.requirements import Requirement
from fastapi_scopes.core.rules import Resolution, Rule
from fastapi_scopes.core.templates import Glob, Pattern, Segment, SegmentKind

__all__ = ["Candidate", "candidates_of"]

# As `PatternIndex` searches: nothing, the end of a pattern, comes right before `**`.
_SPECIFICITY: Final = (
    SegmentKind.REST,
    None,
    SegmentKind.ANY,
    SegmentKind.NAMED,
    SegmentKind.LITERAL,
)
_OVERRULED: Final = "the rule that decides is of the map that was merged last"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule that matches an endpoint."""

    key: str
    requirement: Requirement
    decides: bool
    """Whether the rule decides there, alone or with others of an imported map."""
    why: str
    """Why the rule decides there, or does not."""

    def __str__(self) -> str:
        return f"{self.key!r} ({self.requirement}): {self.why}"


def candidates_of(found: Resolution) -> tuple[Candidate, ...]:
    """Return the rules that *found* names, first those that decide."""
    return tuple(_candidates(found))


def _candidates(found: Resolution) -> Iterator[Candidate]:
    for rule in found.winners[:-1]:
        why = "matches some paths of the template, so it is asked for, too"
        yield Candidate(rule.key, rule.requirement, True, why)
    for winner in found.winners[-1:]:
        why = _why_it_decides(winner) if found.losers else "the only rule that matches all paths"
        yield Candidate(winner.key, winner.requirement, True, why)
        for rule in found.losers:
            yield Candidate(rule.key, rule.requirement, False, _why_it_lost(rule, winner))
    for rule in found.uncertain:
        why = "matches some paths of the template only, and no rule matches all"
        yield Candidate(rule.key, rule.requirement, False, why)


def _why_it_decides(winner: Rule) -> str:
    if winner.method == MOUNT:
        return "a MOUNT rule comes first on its mount"
    if isinstance(winner.path, Pattern):
        return "the most specific rule"
    return "the exact key" if winner.path.is_literal else "the first key that matches all paths"


def _why_it_lost(loser: Rule, winner: Rule) -> str:
    if winner.method == MOUNT:
        return "a MOUNT rule comes first on its mount"
    if loser.method == MOUNT:
        return f"{winner.method} on exactly this path comes before MOUNT"
    one, other = winner.path, loser.path
    if isinstance(one, Pattern) and isinstance(other, Pattern):
        return _why_less_specific(loser, other, winner, one)
    if isinstance(one, Glob) and isinstance(other, Glob):
        if loser.method != winner.method:
            return _less_specific(loser.method, winner.method)
        is_exact = one.is_literal and not other.is_literal
        return "the exact key comes first" if is_exact else "it comes later in the map"
    return _OVERRULED


def _why_less_specific(loser: Rule, losing: Pattern, winner: Rule, winning: Pattern) -> str:
    for one, other in zip_longest(winning.segments, losing.segments):
        if one != other:
            is_less = _specificity_of(other) < _specificity_of(one)
            return _less_specific(_text_of(other), _text_of(one)) if is_less else _OVERRULED
    return _less_specific(loser.method, winner.method)


def _specificity_of(segment: Segment | None) -> int:
    return _SPECIFICITY.index(segment.kind if segment is not None else None)


def _text_of(segment: Segment | None) -> str:
    return segment.text if segment is not None else "the end"


def _less_specific(losing: str, winning: str) -> str:
    return f"{losing!r} is less specific than {winning!r}"
