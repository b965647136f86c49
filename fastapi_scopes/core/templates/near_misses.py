"""Near misses: templates that a rule misses only by the name or the value of a parameter."""

from collections.abc import Iterable, Sequence
from itertools import compress

from fastapi_scopes.core.templates.globs import Glob, GlobMatch
from fastapi_scopes.core.templates.patterns import Pattern, RouteTemplate, Segment, SegmentKind
from fastapi_scopes.core.templates.prefix_index import PrefixIndex

__all__ = ["NearMisses"]

_Placed = tuple[int, RouteTemplate]
_Mask = tuple[bool, ...]
_Spelling = tuple[str, ...]


class NearMisses:
    """An index of templates that finds the first one that a path nearly matches."""

    def __init__(self, templates: Iterable[RouteTemplate]) -> None:
        """Index *templates*, in this order."""
        placed = list(enumerate(templates))
        self._by_start = PrefixIndex((each[1].literal_start, each) for each in placed)
        self._by_shape: dict[int, dict[_Mask, list[_Placed]]] = {}
        for each in placed:
            shape = _mask(each[1].segments, SegmentKind.NAMED)
            self._by_shape.setdefault(len(shape), {}).setdefault(shape, []).append(each)
        self._spelled: dict[tuple[_Mask, _Mask], dict[_Spelling, _Placed]] = {}

    def first(self, path: Pattern | Glob) -> RouteTemplate | None:
        """Return the first template that *path* nearly matches, or None."""
        found = self._of_glob(path) if isinstance(path, Glob) else self._of_pattern(path)
        return min(found, key=lambda each: each[0])[1] if found else None

    def _of_glob(self, glob: Glob) -> list[_Placed]:
        met = sorted(self._by_start.meeting(glob.literal_start), key=lambda each: each[0])
        first = (each for each in met if glob.match(each[1]) is GlobMatch.SOMETIMES)
        return [each for each in (next(first, None),) if each is not None]

    def _of_pattern(self, pattern: Pattern) -> list[_Placed]:
        """Return the first template of each shape that differs in parameters alone."""
        stars = _mask(pattern.segments, SegmentKind.ANY)
        is_open = pattern.segments[-1].kind is SegmentKind.REST
        found: list[_Placed] = []
        for shape in self._by_shape.get(len(stars), ()):
            free = tuple(map(max, shape, stars))
            first = self._spelled_in(shape, free).get(_spelling(pattern.segments, free))
            if first is not None and not (is_open and free[-1]):
                found.append(first)
        return found

    def _spelled_in(self, shape: _Mask, free: _Mask) -> dict[_Spelling, _Placed]:
        """Return the templates of *shape*, by the texts of their segments that are not *free*."""
        known = self._spelled.get((shape, free))
        if known is None:
            known = self._spelled[shape, free] = {}
            for each in self._by_shape[len(shape)][shape]:
                if all(s.is_value for s in compress(each[1].segments, free)):
                    known.setdefault(_spelling(each[1].segments, free), each)
        return known


def _mask(segments: Sequence[Segment], kind: SegmentKind) -> _Mask:
    return tuple(segment.kind is kind for segment in segments)


def _spelling(segments: Sequence[Segment], free: _Mask) -> _Spelling:
    return tuple("" if left else segment.text for segment, left in zip(segments, free, strict=True))
