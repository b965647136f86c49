"""Takes the place of an app's `openapi`: FastAPI's document, with the rules of a guard."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.applications import Starlette

from fastapi_scopes._routing import ResolvedRoute
from fastapi_scopes.authorization import Route
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.methods import ANY_METHOD, http_method
from fastapi_scopes.core.requirements import DENY, Requirement, conjunction_of
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.core.templates import RouteTemplate
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.openapi.operations import Documented, MountPoint
from fastapi_scopes.openapi.rewriting import rewritten
from fastapi_scopes.openapi.schemes import BearerScheme
from fastapi_scopes.openapi.values import copied

__all__ = ["Document", "View", "document", "documenting"]

_log = logging.getLogger("fastapi_scopes")


class MountPoints(Protocol):
    """Where apps are, and what is in them."""

    def apps(self) -> Iterator[FastAPI]:
        """Yield every FastAPI app that there is now."""
        ...

    def of(self, app: FastAPI) -> Iterator[MountPoint]:
        """Yield the places of *app*."""
        ...

    def version(self) -> object:
        """Return what is not equal after a change of routes."""
        ...


RuleFor = Callable[[str, Route | None], Rule | None]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """How one guard sees apps: by a perimeter, or as a dependency of theirs."""

    guard: object
    scheme: BearerScheme
    rule_for: RuleFor
    places: MountPoints
    root: Starlette
    """The app of which the guard was told."""
    is_perimeter: bool
    rule_of_other: Callable[[object, str, Documented], Rule | None]
    """What another guard, a dependency of an endpoint, asks for there."""
    is_guard: Callable[[object], bool]

    def asking(self, app: FastAPI) -> Callable[[str, str], Iterator[Requirement]]:
        """Return what yields all that an operation of *app* asks for, at any of its places."""
        places = list(self.places.of(app))

        def requirements(path: str, method: str) -> Iterator[Requirement]:
            for place in places:
                yield from self._requirements_at(place, path, method)

        return requirements

    def _requirements_at(self, place: MountPoint, path: str, method: str) -> Iterator[Requirement]:
        endpoints, ruled = place.endpoints_of(path, method), http_method(method)
        if not endpoints or method == ANY_METHOD:
            template = RouteTemplate.parse(place.prefix + path)
            route = ResolvedRoute(template, Kind.API_ROUTE, frozenset({method}))
            known = None if method == ANY_METHOD else self.rule_for(ruled, route)
            yield _requirement_of(known)
        for each in endpoints:
            if each.is_decided:
                yield _requirement_of(self.rule_for(ruled, each.route))
                yield from self._others(each, ruled)

    def _others(self, endpoint: Documented, method: str) -> Iterator[Requirement]:
        for call in dict.fromkeys(filter(self.is_guard, endpoint.dependencies())):
            if call is not self.guard:
                yield _requirement_of(self.rule_of_other(call, method, endpoint))


def _requirement_of(rule: Rule | None) -> Requirement:
    return rule.requirement if rule is not None else DENY


def _strictest(requirements: Sequence[Requirement]) -> Requirement:
    try:
        return conjunction_of(requirements)
    except ConfigurationError:
        # Too many alternatives to be listed.
        return DENY


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """A document, and what it was made of."""

    base: dict[str, Any]
    version: object
    views: tuple[View, ...]
    document: dict[str, Any]


class Document:
    """The document of an app, made anew when its routes or FastAPI's own document change."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._original: Callable[[], dict[str, Any]] = app.openapi
        self._views: dict[object, View] = {}
        self._generated: object = None
        self._made: _Made | None = None

    def __call__(self) -> dict[str, Any]:
        """Return the document; the same object while nothing changed."""
        views = tuple(self._effective())
        version = [view.places.version() for view in views]
        made = self._made
        is_same_app = made is not None and views == made.views and version == made.version
        base = self._base(is_stale=made is not None and not is_same_app)
        if made is not None and is_same_app and base == made.base:
            return made.document
        document = rewritten(base, self._scheme(views), self._requirement_in(views))
        self._made = _Made(copied(base), version, views, document)
        return document

    def guard_of(self) -> object | None:
        """Return the guard that was told of this very app, or None."""
        return next((each.guard for each in self._views.values() if each.root is self._app), None)

    def add(self, key: object, view: View) -> None:
        """Let *view* take part; one under the same *key* goes."""
        known = self._views.get(key)
        if known is None or known.root is not self._app:
            self._views[key] = view

    def _effective(self) -> Iterator[View]:
        views = list(self._views.values())
        closed = [each.guard for each in views if each.is_perimeter]
        # A dependency confirms what the perimeter of its guard decided, by that one's keys.
        return (each for each in views if each.is_perimeter or each.guard not in closed)

    def _scheme(self, views: Sequence[View]) -> BearerScheme:
        own = (each for each in views if each.root is self._app)
        return next(own, views[0]).scheme

    def _requirement_in(self, views: Sequence[View]) -> Callable[[str, str], Requirement | None]:
        asking = [view.asking(self._app) for view in views]

        def requirement_of(path: str, method: str) -> Requirement | None:
            found = [each for requirements in asking for each in requirements(path, method)]
            return _strictest(found) if found else None

        return requirement_of

    def _base(self, *, is_stale: bool) -> dict[str, Any]:
        """Return FastAPI's own document, which does not notice every change by itself."""
        app = self._app
        if is_stale and app.openapi_schema is self._generated:
            app.openapi_schema = None
        before = app.openapi_schema
        base = self._original()
        if app.openapi_schema is not before:
            self._generated = app.openapi_schema
        return base


def documenting(app: FastAPI) -> Document | None:
    """Return what has taken the place of the `openapi` of *app*, or None."""
    found: object = vars(app).get("openapi")
    return found if isinstance(found, Document) else None


def document(apps: Iterable[FastAPI], key: object, view: View) -> None:
    """Let the documents of *apps* say what *view* says."""
    for app in apps:
        known = documenting(app)
        if known is None:
            known = Document(app)
            try:
                app.openapi = known  # type: ignore[method-assign]
            except AttributeError:
                # A class that does not allow it; what it says is its own.
                _log.warning("the document of %s cannot show the rules", type(app).__name__)
                continue
        known.add(key, view)
