"""The rules of one map, bound to the routes of an app."""

import logging
from collections.abc import Iterable
from typing import Final

from fastapi_scopes.authorization.access import Route
from fastapi_scopes.authorization.fields import is_misspelt
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.methods import METHODS, WEBSOCKET
from fastapi_scopes.core.requirements import Access, RequirementLike
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.core.templates import RouteTemplate
from fastapi_scopes.errors import ConfigurationError

__all__ = ["Rulebook", "with_docs"]

_log = logging.getLogger("fastapi_scopes")
_UNNAMED: Final = ""


def with_docs(
    scope_map: ScopeMap, docs: RequirementLike | None, templates: Iterable[RouteTemplate]
) -> ScopeMap:
    """Return *scope_map* with *docs* for the docs pages at *templates* where it is silent.

    A preset does not count, but for what it denies: what the developer says comes before it.

    Raises:
        ConfigurationError: the path of a page cannot be the key of a rule.
    """
    if docs is None:
        return scope_map
    silent = [each for each in templates if _may_fill(scope_map.resolve("GET", each).winners)]
    return scope_map | ScopeMap({f"GET {each}": docs for each in silent}, optional=True)


def _may_fill(winners: Iterable[Rule]) -> bool:
    return all(rule.optional and rule.requirement.access is not Access.DENY for rule in winners)


class Rulebook:
    """The rules of one map on routes, each bound when it is first asked for."""

    def __init__(self, scope_map: ScopeMap, docs: RequirementLike | None = None) -> None:
        """Bind the rules of *scope_map*, and *docs* to docs pages that it does not name."""
        self._scope_map = scope_map
        self._docs = docs
        self._named = METHODS | {WEBSOCKET} | scope_map.methods

    def rule_for(self, method: str, route: Route | None) -> Rule | None:
        """Return the rule that holds for *method* on *route*, or None: no one passes there."""
        if route is None:
            return None
        if method in route.bound:
            return route.bound[method]
        if is_misspelt(method, self._named):
            return None
        # No rule names any other method, so all of these are one: a route that answers any
        # method would keep as many as clients think of.
        known = method if method in self._named else _UNNAMED
        if known not in route.bound:
            route.bound[known] = self._bind(method, route)
        return route.bound[known]

    def _bind(self, method: str, route: Route) -> Rule | None:
        try:
            scope_map = self._scope_map
            if route.kind is Kind.DOCS:
                scope_map = with_docs(scope_map, self._docs, [route.template])
            return scope_map.rule_for(
                method, route.template, scopes=route.scopes, is_mount=route.kind.is_mount
            )
        except ConfigurationError as error:
            # `check` raises this at start-up; without it the route stays shut.
            _log.error("%s", error)
            return None
