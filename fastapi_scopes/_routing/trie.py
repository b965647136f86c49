"""A trie: finds values by the literal segments of a path."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["SegmentTrie"]

T = TypeVar("T")


@dataclass(slots=True)
class _Branch(Generic[T]):
    """The values below one segment of their templates."""

    literals: dict[str, "_Branch[T]"] = field(default_factory=dict[str, "_Branch[T]"])
    parameter: "_Branch[T] | None" = None
    ending: list[tuple[int, T]] = field(default_factory=list[tuple[int, T]])
    """The values whose template ends here."""
    below: list[tuple[int, T]] = field(default_factory=list[tuple[int, T]])
    """The values whose template may go on from here in any way."""


class SegmentTrie(Generic[T]):
    """Values by template; a path leads to all values whose template could match it.

    It finds candidates and decides nothing: the caller tries them, in the order in which they were
    added. A segment of a template is a literal, or None for a parameter that is one segment of a
    path; an open template ends where it is no longer known.
    """

    def __init__(self) -> None:
        self._root: _Branch[T] = _Branch()
        self._size = 0
        self._depth = 1

    def add(self, segments: Sequence[str | None], value: T, *, is_open: bool) -> None:
        """Add *value* under *segments*; with *is_open*, any number of others may follow."""
        branch = self._root
        for segment in segments:
            if segment is None:
                branch.parameter = branch.parameter or _Branch()
                branch = branch.parameter
            else:
                branch = branch.literals.setdefault(segment, _Branch())
        (branch.below if is_open else branch.ending).append((self._size, value))
        self._size += 1
        self._depth = max(self._depth, len(segments))

    def candidates(self, path: str) -> Sequence[T]:
        """Return the values whose templates could match *path*, in the order of adding.

        A path is read no further than templates go: its length costs nothing beyond that.
        """
        found: list[tuple[int, T]] = []
        # What is left of a longer path is in one piece, and no template goes there.
        segments = path.split("/", self._depth)
        branch, rest = self._root, iter(segments)
        for segment in rest:
            if branch.below:
                found += branch.below
            literal, parameter = branch.literals.get(segment), branch.parameter
            if literal is not None and parameter is not None:
                _follow_all([literal, parameter], rest, found)
                break
            inner = literal or parameter
            if inner is None:
                break
            branch = inner
        else:
            if not found and not branch.below:
                # All templates end here, in the order of adding; usually it is one.
                ending = branch.ending
                return (ending[0][1],) if len(ending) == 1 else [value for _, value in ending]
            found += branch.below
            found += branch.ending
        if len(found) > 1:
            found.sort(key=operator.itemgetter(0))
        return [value for _, value in found]


def _follow_all(
    branches: "list[_Branch[T]]", segments: Iterable[str], found: list[tuple[int, T]]
) -> None:
    """Add to *found* all values to which *segments* may lead from several *branches*."""
    for segment in segments:
        reached: list[_Branch[T]] = []
        for branch in branches:
            found += branch.below
            literal = branch.literals.get(segment)
            if literal is not None:
                reached.append(literal)
            if branch.parameter is not None:
                reached.append(branch.parameter)
        branches = reached
    for branch in branches:
        found += branch.below
        found += branch.ending
