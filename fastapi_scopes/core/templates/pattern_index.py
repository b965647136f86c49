"""An index of values under patterns, searched with a route template."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fastapi_scopes.core.templates.patterns import Pattern, RouteTemplate, SegmentKind

__all__ = ["PatternIndex"]

T = TypeVar("T")


@dataclass(slots=True)
class _Node(Generic[T]):
    # A literal and a parameter are never spelled alike.
    exact: dict[str, "_Node[T]"] = field(default_factory=dict[str, "_Node[T]"])
    star: "_Node[T] | None" = None
    ending: dict[str, T] = field(default_factory=dict[str, T])
    """The values of the pattern that ends here, by name."""
    below: dict[str, T] = field(default_factory=dict[str, T])
    """The values of the pattern that goes on with ``**``, by name."""


class PatternIndex(Generic[T]):
    """Values, each under a pattern and a name."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, pattern: Pattern, name: str, value: T) -> None:
        """Put *value* under *pattern* and *name*; a value that was there is replaced."""
        node = self._root
        for segment in pattern.segments:
            if segment.kind is SegmentKind.REST:
                node.below[name] = value
                return
            if segment.kind is SegmentKind.ANY:
                node.star = node = node.star or _Node()
            else:
                node = node.exact.setdefault(segment.text, _Node())
        node.ending[name] = value

    def matches(self, template: RouteTemplate) -> Iterator[Mapping[str, T]]:
        """Yield the values under each pattern that matches *template*, the most specific first.

        That is, segment by segment from the left: literal, ``{name}``, ``*``, the end, ``**``.
        """
        segments = template.segments
        pending: list[tuple[_Node[T], int | None]] = [(self._root, 0)]
        while pending:
            node, position = pending.pop()
            if position is None:
                yield node.below
                continue
            if node.below:
                pending.append((node, None))
            if position == len(segments):
                yield node.ending
                continue
            segment = segments[position]
            if node.star is not None and segment.is_value:
                pending.append((node.star, position + 1))
            exact = node.exact.get(segment.text)
            if exact is not None:
                pending.append((exact, position + 1))
