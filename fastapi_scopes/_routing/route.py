"""A route as rules see it."""

from dataclasses import dataclass, field
from typing import Any

from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.core.templates import RouteTemplate

__all__ = ["ResolvedRoute"]


@dataclass(frozen=True, slots=True, eq=False)
class ResolvedRoute:
    """The endpoint that a connection leads to, in the words of the app that is guarded."""

    template: RouteTemplate
    kind: Kind
    methods: frozenset[str]
    scopes: tuple[str, ...] = ()
    """What the route itself asks for with ``Security(guard, scopes=[...])``."""
    awaited: "ResolvedRoute | None" = None
    """The same for code that awaits the guard by itself, where that is not in the tree of
    dependencies: with the scopes of ``Security`` that no guard there is asked for."""
    bound: dict[str, Rule | None] = field(default_factory=dict[str, "Rule | None"], repr=False)
    """The rules that were found for it, by method."""
    settled: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """The verdicts that are the same for every caller, by method; whoever gives them keeps them."""
