"""A route as scope maps see it: template, kind, methods, and the scopes it asks for."""

from dataclasses import dataclass, field
from typing import Any

from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.core.templates import RouteTemplate

__all__ = ["ResolvedRoute"]


@dataclass(frozen=True, slots=True, eq=False)
class ResolvedRoute:
    """The endpoint to which a connection leads, with the template that the scope map knows."""

    template: RouteTemplate
    kind: Kind
    methods: frozenset[str]
    scopes: tuple[str, ...] = ()
    """The scopes that the route itself asks for with ``Security(guard, scopes=[...])``."""
    awaited: "ResolvedRoute | None" = None
    """The same route for code that awaits the guard by itself, where no dependency calls the guard:
    with the scopes of ``Security`` that no guard is asked for.
    """
    rules_by_method: dict[str, Rule | None] = field(
        default_factory=dict[str, "Rule | None"], repr=False
    )
    """The rules that were found for it, by method."""
    constant_verdicts: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """The verdicts that are the same for every caller, by method; the perimeter keeps them here."""
