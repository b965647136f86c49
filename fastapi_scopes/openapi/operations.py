"""What an operation of an OpenAPI document is about, in the words of a guard."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from starlette.applications import Starlette
from starlette.routing import PARAM_REGEX

from fastapi_scopes._routing import (
    ResolvedRoute,
    RouteIndex,
    RouteTree,
    SegmentTrie,
    apps_in,
    asked_scopes,
    calls,
    dependants_in,
    pattern_of,
    placed_endpoints,
    places_in,
    sample_of,
    unwrapped,
)
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.methods import ANY_METHOD
from fastapi_scopes.core.templates import RouteTemplate

__all__ = ["DependencyMountPoints", "Documented", "MountPoint", "ProtectedMountPoints"]

_BRACED = re.compile(r"\{[^{}]*\}")
_ONE_SEGMENT = re.compile(r"\{[^{}:]*(?::(?:str|int|float|uuid))?\}")


@dataclass(frozen=True, slots=True, eq=False)
class Documented:
    """An endpoint, as the document of one app could show it."""

    path: str
    """Its template in that app, as a document spells it."""
    language: str
    """The template of all paths that lead there, as routers match them."""
    methods: frozenset[str]
    route: ResolvedRoute | None
    """The endpoint as the guard sees it, or None where it knows of none and denies."""
    local: RouteTemplate
    """The template as a guard of that very app has it."""
    tree: Dependant | None = None
    is_decided: bool = True
    """Whether the guard decides there."""
    pattern: "re.Pattern[str]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", pattern_of(self.language))

    def seen_by(self, guard: object) -> ResolvedRoute:
        """Return the endpoint as *guard*, a dependency of it, sees it."""
        scopes = asked_scopes(self.tree, guard)
        return ResolvedRoute(self.local, Kind.API_ROUTE, self.methods, scopes)

    def dependencies(self) -> Iterator[object]:
        """Yield what is called for it, and what that is around."""
        for each in dependants_in(self.tree) if self.tree is not None else ():
            yield from unwrapped(each.call)


class MountPoint:
    """What an app is at one place."""

    def __init__(
        self,
        prefix: str,
        endpoints: Iterable[Documented],
        before: Iterable[Documented] = (),
    ) -> None:
        """Take *endpoints* in the order in which they match, and what matches *before* all.

        *prefix* comes before their templates in the words of the guard.
        """
        self.prefix = prefix
        self._endpoints = tuple(endpoints)
        self._before = tuple(before)
        self._answering: dict[str, _Answering] = {}

    def endpoints_of(self, path: str, method: str) -> Sequence[Documented]:
        """Return the endpoints that the operation *method* on *path* is about.

        INVARIANT: what comes before a route on its own paths is what runs there
        (test_operation_that_another_route_answers_asks_for_what_that_asks_for).
        """
        if method not in self._answering:
            own, before = (
                [each for each in found if method in each.methods or ANY_METHOD in each.methods]
                for found in (self._endpoints, self._before)
            )
            self._answering[method] = _Answering(self.prefix, own, before)
        return self._answering[method].endpoints_of(path)


class _Answering:
    """The endpoints of a place that answer one method."""

    def __init__(
        self, prefix: str, endpoints: Sequence[Documented], before: Sequence[Documented]
    ) -> None:
        self._prefix = prefix
        self._in_order: SegmentTrie[Documented] = SegmentTrie()
        self._by_path: dict[str, list[Documented]] = {}
        self._by_shape: dict[str, list[Documented]] = {}
        for each in (*before, *endpoints):
            segments, is_open = _segments_of(each.language)
            self._in_order.add(segments, each, is_open=is_open)
        for each in endpoints:
            self._by_path.setdefault(each.path, []).append(each)
            self._by_shape.setdefault(_shape_of(each.path), []).append(each)

    def endpoints_of(self, path: str) -> Sequence[Documented]:
        same = self._by_path.get(path) or self._by_shape.get(_shape_of(path), [])
        sample = sample_of(same[0].language if same else self._prefix + path)
        if sample is None:
            return same
        candidates = self._in_order.candidates(sample)
        first = next((each for each in candidates if each.pattern.fullmatch(sample)), None)
        return same if first is None else list(dict.fromkeys([first, *same]))


def _segments_of(language: str) -> tuple[list[str | None], bool]:
    """Return the leading segments of a template that are known, and whether more may follow."""
    segments: list[str | None] = []
    for text in language.split("/"):
        if _BRACED.sub("", _ONE_SEGMENT.sub("", text)) != _ONE_SEGMENT.sub("", text):
            return segments, True
        segments.append(None if "{" in text else text)
    return segments, False


def _shape_of(path: str) -> str:
    """Return *path* whatever its parameters are called."""
    return _BRACED.sub("{}", path)


class ProtectedMountPoints:
    """The places of apps behind a perimeter; templates are relative to the protected app."""

    def __init__(self, tree: Callable[[], RouteTree]) -> None:
        self._tree = tree

    def apps(self) -> Iterator[FastAPI]:
        """Yield every FastAPI app that there is now."""
        found = (index.app for index in self._tree().indexes())
        yield from dict.fromkeys(each for each in found if isinstance(each, FastAPI))

    def of(self, app: FastAPI) -> Iterator[MountPoint]:
        """Yield the places of *app*."""
        tree = self._tree()
        tree.refresh()
        for index, before in _indexes_in(tree.root, []):
            if index.app is app:
                yield MountPoint(index.prefix, _protected_in(index), before)

    def version(self) -> object:
        """Return what is another object, or number, after a change."""
        tree = self._tree()
        tree.refresh()
        tree.root.current()
        return tree, tree.version


def _indexes_in(
    index: RouteIndex, before: list[Documented]
) -> Iterator[tuple[RouteIndex, list[Documented]]]:
    """Yield the indexes of all routers, each with what is matched before they are come to."""
    yield index, before
    known = list(before)
    for place in index.places():
        if place.index is not None:
            yield from _indexes_in(place.index, list(known))
        elif place.node.frontend is None:
            known.append(_protected(place.route, place.node.dependant, ""))


def _protected_in(index: RouteIndex) -> Iterator[Documented]:
    for placed in placed_endpoints(index):
        yield _protected(placed.route, placed.dependant, index.prefix)


def _protected(route: ResolvedRoute, tree: Dependant | None, prefix: str) -> Documented:
    text = route.template.text.removeprefix(prefix)
    local = RouteTemplate.parse(text)
    language = route.template.language
    return Documented(_spelled(text), language, route.methods, route, local, tree)


class DependencyMountPoints:
    """The places of apps on which *guard* is a dependency; templates are those of each app."""

    def __init__(
        self, app: FastAPI, guard: object, tree_of: Callable[[Starlette], RouteTree]
    ) -> None:
        self._app = app
        self._guard = guard
        self._tree_of = tree_of

    def apps(self) -> Iterator[FastAPI]:
        """Yield every FastAPI app that there is now."""
        found = (inner for _, inner in apps_in(self._app, self._tree_of))
        yield from dict.fromkeys(each for each in found if isinstance(each, FastAPI))

    def of(self, app: FastAPI) -> Iterator[MountPoint]:
        """Yield the one place of *app*: of its own."""
        yield MountPoint("", self._run_in(app))

    def version(self) -> object:
        """Return what is another object, or number, after a change."""
        return tuple(
            (inner, self._tree_of(inner).version) for _, inner in apps_in(self._app, self._tree_of)
        )

    def _run_in(self, app: FastAPI) -> Iterator[Documented]:
        for mount, place, is_ambiguous in places_in(app, self._tree_of):
            node, route = place.node, place.route
            is_known = route.kind is not Kind.FRONTEND and not is_ambiguous
            yield Documented(
                _spelled(mount + route.template.text),
                mount + route.template.language,
                route.methods,
                route if is_known else None,
                route.template,
                node.dependant,
                is_decided=route.kind.has_dependencies and self._is_run_on(node.dependant),
            )

    def _is_run_on(self, tree: Dependant | None) -> bool:
        nodes = dependants_in(tree) if tree is not None else ()
        return any(calls(each, self._guard) for each in nodes)


def _spelled(template: str) -> str:
    """Return *template* as OpenAPI has it: without convertors."""
    return PARAM_REGEX.sub(r"{\1}", template)
