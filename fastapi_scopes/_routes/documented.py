"""What an operation of an OpenAPI document is about, in the words of a guard."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from starlette.applications import Starlette
from starlette.routing import PARAM_REGEX

from fastapi_scopes._routes.dependants import asked_scopes, calls, dependants_in
from fastapi_scopes._routes.patterns import pattern_of, sample_of
from fastapi_scopes._routes.resolver import Resolver, endpoints_in
from fastapi_scopes._routes.route import LocatedRoute
from fastapi_scopes._routes.tables import RouterTable
from fastapi_scopes._routes.walk import Node, walk_app
from fastapi_scopes.core.coverage import Kind
from fastapi_scopes.core.scope_map import ANY_METHOD
from fastapi_scopes.core.templates import RouteTemplate

__all__ = ["DependencyPlaces", "Documented", "PerimeterPlaces", "Place"]

_DEPENDENT = frozenset({Kind.API_ROUTE, Kind.API_WEBSOCKET, Kind.FRONTEND})
_BRACED = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True, eq=False)
class Documented:
    """An endpoint, as the document of one app could show it."""

    path: str
    """Its template in that app, as a document spells it."""
    language: str
    """The template of all paths that lead there, as routers match them."""
    methods: frozenset[str]
    route: LocatedRoute | None
    """The endpoint as the guard sees it, or None where it knows of none and denies."""
    local: RouteTemplate
    """The template as a guard of that very app has it."""
    tree: Dependant | None = None
    is_decided: bool = True
    """Whether the guard decides there."""
    pattern: "re.Pattern[str]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", pattern_of(self.language))

    def asked_of(self, guard: object) -> LocatedRoute:
        """Return the endpoint as *guard*, a dependency of it, sees it."""
        scopes = asked_scopes(self.tree, guard) if self.tree is not None else ()
        return LocatedRoute(self.local, Kind.API_ROUTE, self.methods, scopes)

    def dependencies(self) -> Iterator[object]:
        """Yield what is called for it, a bound method as what it is bound to."""
        for each in dependants_in(self.tree) if self.tree is not None else ():
            yield getattr(each.call, "__self__", each.call)


class Place:
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

    def explaining(self, path: str, method: str) -> Sequence[Documented]:
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
        return self._answering[method].explaining(path)


class _Answering:
    """The endpoints of a place that answer one method."""

    def __init__(
        self, prefix: str, endpoints: Sequence[Documented], before: Sequence[Documented]
    ) -> None:
        self._prefix = prefix
        self._in_order = [*before, *endpoints]
        self._by_path: dict[str, list[Documented]] = {}
        self._by_shape: dict[str, list[Documented]] = {}
        for each in endpoints:
            self._by_path.setdefault(each.path, []).append(each)
            self._by_shape.setdefault(_shape_of(each.path), []).append(each)

    def explaining(self, path: str) -> Sequence[Documented]:
        same = self._by_path.get(path) or self._by_shape.get(_shape_of(path), [])
        sample = sample_of(same[0].language if same else self._prefix + path)
        if sample is None:
            return same
        first = next((each for each in self._in_order if each.pattern.fullmatch(sample)), None)
        return same if first is None else list(dict.fromkeys([first, *same]))


def _shape_of(path: str) -> str:
    """Return *path* whatever its parameters are called."""
    return _BRACED.sub("{}", path)


class PerimeterPlaces:
    """The places of apps behind a perimeter; templates are relative to the protected app."""

    def __init__(self, resolver: Callable[[], Resolver]) -> None:
        self._resolver = resolver

    def apps(self) -> Iterator[FastAPI]:
        """Yield every FastAPI app that there is now."""
        found = (table.app for table in self._resolver().tables())
        yield from dict.fromkeys(each for each in found if isinstance(each, FastAPI))

    def places_of(self, app: FastAPI) -> Iterator[Place]:
        """Yield the places of *app*."""
        for table, before in self._resolver().placed_tables():
            if table.app is app:
                around = (_shut(each.route, each.entry.dependant, "") for each in before)
                yield Place(table.prefix, _shut_in(table), around)

    def seen(self) -> Iterator[object]:
        """Yield the routes of every router, other objects after a change."""
        for table in self._resolver().tables():
            yield table.candidates()


def _shut_in(table: RouterTable) -> Iterator[Documented]:
    for route, _, tree in endpoints_in(table):
        yield _shut(route, tree, table.prefix)


def _shut(route: LocatedRoute, tree: Dependant | None, prefix: str) -> Documented:
    text = route.template.text.removeprefix(prefix)
    local = RouteTemplate.parse(text)
    language = route.template.language
    return Documented(_spelled(text), language, route.methods, route, local, tree)


class DependencyPlaces:
    """The places of apps on which *guard* is a dependency; templates are those of each app."""

    def __init__(self, app: FastAPI, guard: object) -> None:
        self._app = app
        self._guard = guard

    def apps(self) -> Iterator[FastAPI]:
        """Yield every FastAPI app that there is now."""
        yield from dict.fromkeys(each for each in _apps_in(self._app, ()) if _is_fastapi(each))

    def places_of(self, app: FastAPI) -> Iterator[Place]:
        """Yield the one place of *app*: of its own."""
        yield Place("", _run_in(app, self._guard, "", ()))

    def seen(self) -> Iterator[object]:
        """Yield the routes of every app, other objects after a change."""
        for app in _apps_in(self._app, ()):
            yield from (node.source for node in walk_app(app))


def _is_fastapi(app: Starlette) -> bool:
    return isinstance(app, FastAPI)


def _apps_in(app: Starlette, outer: tuple[Starlette, ...]) -> Iterator[Any]:
    yield app
    for node in walk_app(app):
        if isinstance(node.target, Starlette) and node.target not in (*outer, app):
            yield from _apps_in(node.target, (*outer, app))


def _run_in(
    app: Starlette, guard: object, mount: str, outer: tuple[Starlette, ...]
) -> Iterator[Documented]:
    nodes = list(walk_app(app))
    places = Counter(id(node.source) for node in nodes)
    for node in nodes:
        if isinstance(node.target, Starlette) and node.target not in (*outer, app):
            prefix = mount + node.template.text.removesuffix("/**")
            yield from _run_in(node.target, guard, prefix, (*outer, app))
            continue
        is_decided = _is_run_on(node, guard)
        is_known = node.kind is not Kind.FRONTEND and places[id(node.source)] == 1
        scopes = asked_scopes(node.dependant, guard) if node.dependant is not None else ()
        route = LocatedRoute(node.template, node.kind, frozenset(node.methods), scopes)
        yield Documented(
            _spelled(mount + node.template.text),
            mount + node.template.language,
            route.methods,
            route if is_known else None,
            node.template,
            node.dependant,
            is_decided=is_decided,
        )


def _is_run_on(node: Node, guard: object) -> bool:
    tree: Iterable[Dependant] = dependants_in(node.dependant) if node.dependant is not None else ()
    return node.kind in _DEPENDENT and any(calls(each, guard) for each in tree)


def _spelled(template: str) -> str:
    """Return *template* as OpenAPI has it: without convertors."""
    return PARAM_REGEX.sub(r"{\1}", template)
