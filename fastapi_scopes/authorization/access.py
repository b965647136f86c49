"""Who asks for what, and what a guard says of that."""

from dataclasses import dataclass, field
from typing import Protocol

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.problems import Problem
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.core.templates import RouteTemplate

__all__ = [
    "AccessRequest",
    "Route",
    "Verdict",
]


class Route(Protocol):
    """An endpoint, as rules see it."""

    @property
    def template(self) -> RouteTemplate: ...  # noqa: D102
    @property
    def kind(self) -> Kind: ...  # noqa: D102
    @property
    def scopes(self) -> tuple[str, ...]:
        """What the route itself asks for."""
        ...

    @property
    def bound(self) -> dict[str, Rule | None]:
        """The rules that were found for it."""
        ...


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What a verdict rests on; another of these needs another verdict."""

    route: Route | None
    """The endpoint; None where there is none, or none that a rule could hold for."""
    method: str
    path: str
    authorization: tuple[bytes, ...] = field(repr=False)
    offers: tuple[str, ...] = field(default=(), repr=False)
    """The subprotocols of a handshake that are meant as credentials."""
    looks_at_credentials: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guard says of a connection."""

    request: AccessRequest
    claims: Claims | None = field(default=None, repr=False)
    problem: Problem | None = None
    """Why the connection may not pass; None where it may."""
