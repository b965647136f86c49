"""Short ways to ask a scope map."""

from fastapi_scopes.core.requirements import Requirement
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.core.templates import RouteTemplate


def at(template: str) -> RouteTemplate:
    """The template that *template* spells; ``/x/**`` is all that is mounted at ``/x``."""
    if template.endswith("/**"):
        return RouteTemplate.below(template.removesuffix("/**"))
    return RouteTemplate.parse(template)


def map_of(*keys: str) -> ScopeMap:
    """A map in which every key asks for a scope."""
    return ScopeMap(dict.fromkeys(keys, "a"))


def key_for(scope_map: ScopeMap, method: str, template: str) -> str | None:
    rule = scope_map.rule_for(method, at(template))
    return rule.key if rule is not None else None


def requirement_for(scope_map: ScopeMap, method: str, template: str) -> Requirement | None:
    rule = scope_map.rule_for(method, at(template))
    return rule.requirement if rule is not None else None
