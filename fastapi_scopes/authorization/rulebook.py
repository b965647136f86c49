"""The rules of one map, bound to the routes of an app."""

import logging
from collections.abc import Iterable
from typing import Final

from fastapi_scopes.authorization.access import Route
from fastapi_scopes.authorization.fields import is_misspelt
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.methods import METHODS, WEBSOCKET
from fastapi_scopes.core.requirements import Access, RequirementLike
from fastapi_scopes.core.rules import Resolution, Rule
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.core.templates import RouteTemplate
from fastapi_scopes.errors import ConfigurationError

__all__ = ["Rulebook", "with_docs"]

_log = logging.getLogger("fastapi_scopes")
_UNNAMED: Final = ""


def with_docs(
    scope_map: ScopeMap, docs: RequirementLike | None, templates: Iterable[RouteTemplate]
) -> ScopeMap:
    """Return *scope_map* with the requirement *docs* for docs pages that it does not rule.

    The pages are at *templates*. Rules of a preset count only where they deny: otherwise the
    developer's word comes before them.

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
    """The rules of one map, each found for a route when it is first asked for."""

    def __init__(self, scope_map: ScopeMap, docs: RequirementLike | None = None) -> None:
        """Look up rules in *scope_map*; *docs* is for the docs pages that it does not rule."""
        self._scope_map = scope_map
        self._docs = docs
        self._named = METHODS | {WEBSOCKET} | scope_map.methods

    def rule_for(self, method: str, route: Route | None) -> Rule | None:
        """Return the rule for *method* on *route*, or None for no rule: nobody may pass there."""
        if route is None:
            return None
        if method in route.rules_by_method:
            return route.rules_by_method[method]
        if is_misspelt(method, self._named):
            return None
        # Methods that no rule names share one entry: otherwise clients could fill the memory,
        # on a route that answers any method.
        known = method if method in self._named else _UNNAMED
        if known not in route.rules_by_method:
            route.rules_by_method[known] = self._bind(method, route)
        return route.rules_by_method[known]

    def candidates_for(self, method: str, route: Route) -> Resolution:
        """Return all rules that match *method* on *route*: the one that holds, and the others."""
        scope_map = self._map_for(route)
        return scope_map.resolve(method, route.template, is_mount=route.kind.is_mount)

    def _map_for(self, route: Route) -> ScopeMap:
        if route.kind is not Kind.DOCS:
            return self._scope_map
        return with_docs(self._scope_map, self._docs, [route.template])

    def _bind(self, method: str, route: Route) -> Rule | None:
        try:
            return self._map_for(route).rule_for(
                method, route.template, scopes=route.scopes, is_mount=route.kind.is_mount
            )
        except ConfigurationError as error:
            # `check` raises this at start-up; without it the route stays shut.
            _log.error("%s", error)
            return None
