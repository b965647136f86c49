"""The endpoints that an operation of an OpenAPI document stands for."""

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
    """An endpoint as the OpenAPI document of one app shows it."""

    path: str
    """Its template in that app as OpenAPI spells it: without convertors."""
    language: str
    """The template that routers match, with prefixes and convertors."""
    methods: frozenset[str]
    route: ResolvedRoute | None
    """The endpoint as the guard sees it; None where the guard cannot tell which, and denies."""
    local: RouteTemplate
    """The template relative to that app alone."""
    dependant: Dependant | None = None
    """The root of the dependency tree that FastAPI made for it."""
    is_decided: bool = True
    """Whether the guard decides on it."""
    pattern: "re.Pattern[str]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", pattern_of(self.language))

    def seen_by(self, guard: object) -> ResolvedRoute:
        """Return the route as *guard*, a dependency of this endpoint, sees it."""
        scopes = asked_scopes(self.dependant, guard)
        return ResolvedRoute(self.local, Kind.API_ROUTE, self.methods, scopes)

    def dependencies(self) -> Iterator[object]:
        """Yield the callables of all its dependencies, and the callables that those wrap."""
        for each in dependants_in(self.dependant) if self.dependant is not None else ():
            yield from unwrapped(each.call)


class MountPoint:
    """One app, at one path of the app that the guard protects."""

    def __init__(
        self,
        prefix: str,
        endpoints: Iterable[Documented],
        before: Iterable[Documented] = (),
    ) -> None:
        """Take the app's *endpoints* in matching order, and those that match *before* them.

        *prefix* is where the app is mounted; the guard's keys begin with it.
        """
        self.prefix = prefix
        self._endpoints = tuple(endpoints)
        self._before = tuple(before)
        self._by_method: dict[str, _MethodEndpoints] = {}

    def endpoints_of_operation(self, path: str, method: str) -> Sequence[Documented]:
        """Return the endpoints that the operation *method* on *path* stands for.

        INVARIANT: a route that matches the same paths earlier is what runs, so it is among them
        (test_operation_that_another_route_answers_asks_for_what_that_asks_for).
        """
        if method not in self._by_method:
            own, before = (
                [each for each in found if method in each.methods or ANY_METHOD in each.methods]
                for found in (self._endpoints, self._before)
            )
            self._by_method[method] = _MethodEndpoints(self.prefix, own, before)
        return self._by_method[method].at(path)


class _MethodEndpoints:
    """The endpoints of one mount point that answer one method, found by path."""

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

    def at(self, path: str) -> Sequence[Documented]:
        same = self._by_path.get(path) or self._by_shape.get(_shape_of(path), [])
        sample = sample_of(same[0].language if same else self._prefix + path)
        if sample is None:
            return same
        candidates = self._in_order.candidates(sample)
        first = next((each for each in candidates if each.pattern.fullmatch(sample)), None)
        return same if first is None else list(dict.fromkeys([first, *same]))


def _segments_of(language: str) -> tuple[list[str | None], bool]:
    """Return the leading segments of a template, None for a parameter, and whether more may follow.

    A parameter that may span several segments ends the list.
    """
    segments: list[str | None] = []
    for text in language.split("/"):
        if _BRACED.sub("", _ONE_SEGMENT.sub("", text)) != _ONE_SEGMENT.sub("", text):
            return segments, True
        segments.append(None if "{" in text else text)
    return segments, False


def _shape_of(path: str) -> str:
    """Return *path* without the names of its parameters."""
    return _BRACED.sub("{}", path)


class ProtectedMountPoints:
    """The mount points of apps behind a perimeter; keys are relative to the protected app."""

    def __init__(self, tree: Callable[[], RouteTree]) -> None:
        self._tree = tree

    def apps(self) -> Iterator[FastAPI]:
        """Yield every FastAPI app that can be reached now."""
        found = (index.app for index in self._tree().indexes())
        yield from dict.fromkeys(each for each in found if isinstance(each, FastAPI))

    def of(self, app: FastAPI) -> Iterator[MountPoint]:
        """Yield the mount points of *app*."""
        tree = self._tree()
        tree.refresh()
        for index, before in _indexes_in(tree.root, []):
            if index.app is app:
                yield MountPoint(index.prefix, _protected_in(index), before)

    def version(self) -> object:
        """Return a value that differs after every change of the routes."""
        tree = self._tree()
        tree.refresh()
        tree.root.current()
        return tree, tree.version


def _indexes_in(
    index: RouteIndex, before: list[Documented]
) -> Iterator[tuple[RouteIndex, list[Documented]]]:
    """Yield the index of every router, with the endpoints that are matched before that router."""
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


def _protected(route: ResolvedRoute, dependant: Dependant | None, prefix: str) -> Documented:
    text = route.template.text.removeprefix(prefix)
    local = RouteTemplate.parse(text)
    language = route.template.language
    return Documented(_openapi_path(text), language, route.methods, route, local, dependant)


class DependencyMountPoints:
    """The mount points of apps on which *guard* is a dependency; keys are relative to each app."""

    def __init__(
        self, app: FastAPI, guard: object, tree_of: Callable[[Starlette], RouteTree]
    ) -> None:
        self._app = app
        self._guard = guard
        self._tree_of = tree_of

    def apps(self) -> Iterator[FastAPI]:
        """Yield every FastAPI app that can be reached now."""
        found = (inner for _, inner in apps_in(self._app, self._tree_of))
        yield from dict.fromkeys(each for each in found if isinstance(each, FastAPI))

    def of(self, app: FastAPI) -> Iterator[MountPoint]:
        """Yield one mount point: *app* by itself, wherever it is mounted."""
        yield MountPoint("", self._endpoints_in(app))

    def version(self) -> object:
        """Return a value that differs after every change of the routes."""
        return tuple(
            (inner, self._tree_of(inner).version) for _, inner in apps_in(self._app, self._tree_of)
        )

    def _endpoints_in(self, app: FastAPI) -> Iterator[Documented]:
        for mount, place, is_ambiguous in places_in(app, self._tree_of):
            node, route = place.node, place.route
            is_known = route.kind is not Kind.FRONTEND and not is_ambiguous
            yield Documented(
                _openapi_path(mount + route.template.text),
                mount + route.template.language,
                route.methods,
                route if is_known else None,
                route.template,
                node.dependant,
                is_decided=route.kind.has_dependencies and self._is_in(node.dependant),
            )

    def _is_in(self, root: Dependant | None) -> bool:
        nodes = dependants_in(root) if root is not None else ()
        return any(calls(each, self._guard) for each in nodes)


def _openapi_path(template: str) -> str:
    """Return *template* as OpenAPI spells it: without convertors."""
    return PARAM_REGEX.sub(r"{\1}", template)
