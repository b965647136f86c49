"""`Document` replaces `app.openapi`: FastAPI's own OpenAPI document, plus the rules of guards."""

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
from fastapi_scopes.core.requested_scopes import RequestedScopes
from fastapi_scopes.core.requirements import DENY, Requirement, conjunction_of
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.core.templates import RouteTemplate
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.openapi.discovery import CurrentScheme
from fastapi_scopes.openapi.operations import Documented, MountPoint
from fastapi_scopes.openapi.rewriting import RequirementOf, ShownRequirement, with_security
from fastapi_scopes.openapi.schemes import BearerScheme
from fastapi_scopes.openapi.values import deep_copy

__all__ = ["Document", "RuleOfOther", "View", "document", "documenting"]

_log = logging.getLogger("fastapi_scopes")


class MountPoints(Protocol):
    """The FastAPI apps that a guard sees, and the paths at which they are mounted."""

    def apps(self) -> Iterator[FastAPI]:
        """Yield every FastAPI app that can be reached now."""
        ...

    def of(self, app: FastAPI) -> Iterator[MountPoint]:
        """Yield the mount points of *app*."""
        ...

    def version(self) -> object:
        """Return a value that differs after every change of the routes."""
        ...


RuleFor = Callable[[str, Route | None], Rule | None]
RuleOfOther = Callable[[object, str, Documented], tuple[Rule | None, RequestedScopes]]
"""Returns the rule of another guard, a dependency of the endpoint, and its names of scopes."""
_Found = tuple[Requirement, RequestedScopes]
"""The requirement of one guard, and how clients ask for its scopes."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What one guard shows in OpenAPI documents, as a perimeter or as a dependency."""

    guard: object
    current_scheme: CurrentScheme
    rule_for: RuleFor
    mount_points: MountPoints
    root: Starlette
    """The app that was passed to `ScopeGuard.protect` or `ScopeGuard.document`."""
    is_perimeter: bool
    rule_of_other: RuleOfOther
    is_guard: Callable[[object], bool]

    @property
    def scheme(self) -> BearerScheme:
        """The scheme of the guard, as it is known now."""
        return self.current_scheme()

    def requirements_for(self, app: FastAPI) -> Callable[[str, str], Iterator[_Found]]:
        """Return a function that lists the requirements of an operation of *app*.

        It takes the path and the method, and goes through every mount point of *app*.
        """
        mount_points = list(self.mount_points.of(app))

        def requirements(path: str, method: str) -> Iterator[_Found]:
            for mount_point in mount_points:
                yield from self._requirements_at(mount_point, path, method)

        return requirements

    def _requirements_at(self, mount_point: MountPoint, path: str, method: str) -> Iterator[_Found]:
        endpoints = mount_point.endpoints_of_operation(path, method)
        rule_method = http_method(method)
        if not endpoints or method == ANY_METHOD:
            template = RouteTemplate.parse(mount_point.prefix + path)
            route = ResolvedRoute(template, Kind.API_ROUTE, frozenset({method}))
            known = None if method == ANY_METHOD else self.rule_for(rule_method, route)
            yield _requirement_of(known), self.scheme.requested
        for each in endpoints:
            if each.is_decided:
                rule = self.rule_for(rule_method, each.route)
                yield _requirement_of(rule), self.scheme.requested
                yield from self._requirements_of_other_guards(each, rule_method)

    def _requirements_of_other_guards(self, endpoint: Documented, method: str) -> Iterator[_Found]:
        for call in dict.fromkeys(filter(self.is_guard, endpoint.dependencies())):
            if call is not self.guard:
                rule, requested = self.rule_of_other(call, method, endpoint)
                yield _requirement_of(rule), requested


def _requirement_of(rule: Rule | None) -> Requirement:
    return rule.requirement if rule is not None else DENY


def _strictest(requirements: Sequence[Requirement]) -> Requirement:
    try:
        return conjunction_of(requirements)
    except ConfigurationError:
        # Together they come to more alternatives than a requirement may have.
        return DENY


def _shown(found: Sequence[_Found], own: RequestedScopes) -> ShownRequirement:
    """Return all the requirements as one.

    Each scope has the name that its guard gives it; *own* ones come first, as those of the scheme.
    """
    requirement = _strictest([each for each, _ in found])
    names = {
        scope_token: requested.name_of(scope_token)
        for each, requested in sorted(found, key=lambda each: each[1] is own)
        for alternative in each.alternatives
        for scope_token in alternative
    }
    named = (filter(None, map(names.get, each)) for each in requirement.alternatives)
    shown = tuple(tuple(dict.fromkeys(each)) for each in named)
    return ShownRequirement(requirement.access, requirement.alternatives, shown)


@dataclass(frozen=True, slots=True, eq=False)
class _CachedDocument:
    """A document, and the inputs that it was made from."""

    base: dict[str, Any]
    version: object
    views: tuple[View, ...]
    document: dict[str, Any]


class Document:
    """The OpenAPI document of one app, made anew when its routes or FastAPI's document change."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._original: Callable[[], dict[str, Any]] = app.openapi
        self._views: dict[object, View] = {}
        self._generated: object = None
        self._cached: _CachedDocument | None = None

    def __call__(self) -> dict[str, Any]:
        """Return the document; the same object while nothing changed."""
        views = tuple(self._views_in_force())
        # Where its URLs are discovered, the scheme is another one once they are known.
        scheme = self._scheme(views)
        version = [scheme, *(view.mount_points.version() for view in views)]
        cached = self._cached
        is_current = cached is not None and views == cached.views and version == cached.version
        base = self._base(is_stale=cached is not None and not is_current)
        if cached is not None and is_current and base == cached.base:
            return cached.document
        document = with_security(base, scheme, self._requirement_in(views, scheme.requested))
        self._cached = _CachedDocument(deep_copy(base), version, views, document)
        return document

    def guard_of(self) -> object | None:
        """Return the guard that was given this very app, or None."""
        return next((each.guard for each in self._views.values() if each.root is self._app), None)

    def add(self, key: object, view: View) -> None:
        """Show the rules of *view* too; it replaces the view under *key* of a surrounding app."""
        known = self._views.get(key)
        if known is None or known.root is not self._app:
            self._views[key] = view

    def _views_in_force(self) -> Iterator[View]:
        views = list(self._views.values())
        closed = [each.guard for each in views if each.is_perimeter]
        # Behind the perimeter of its guard a dependency only confirms the decision, so the keys
        # of the perimeter are shown.
        return (each for each in views if each.is_perimeter or each.guard not in closed)

    def _scheme(self, views: Sequence[View]) -> BearerScheme:
        own = (each for each in views if each.root is self._app)
        return next(own, views[0]).scheme

    def _requirement_in(self, views: Sequence[View], own: RequestedScopes) -> RequirementOf:
        listing = [view.requirements_for(self._app) for view in views]

        def requirement_of(path: str, method: str) -> ShownRequirement | None:
            found = [each for requirements in listing for each in requirements(path, method)]
            return _shown(found, own) if found else None

        return requirement_of

    def _base(self, *, is_stale: bool) -> dict[str, Any]:
        """Return FastAPI's own document; it is made anew where routes have changed unnoticed."""
        app = self._app
        if is_stale and app.openapi_schema is self._generated:
            app.openapi_schema = None
        before = app.openapi_schema
        base = self._original()
        if app.openapi_schema is not before:
            self._generated = app.openapi_schema
        return base


def documenting(app: FastAPI) -> Document | None:
    """Return the `Document` that has replaced `app.openapi`, or None."""
    found: object = vars(app).get("openapi")
    return found if isinstance(found, Document) else None


def document(apps: Iterable[FastAPI], key: object, view: View) -> None:
    """Show the rules of *view* in the OpenAPI documents of *apps*."""
    for app in apps:
        known = documenting(app)
        if known is None:
            known = Document(app)
            try:
                app.openapi = known  # type: ignore[method-assign]
            except AttributeError:
                # The class of the app forbids it, so FastAPI's own document stays.
                _log.warning("the document of %s cannot show the rules", type(app).__name__)
                continue
        known.add(key, view)
