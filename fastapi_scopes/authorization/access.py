"""Who asks for what, and what a guard says of that."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fastapi_scopes.authorization.fields import Field
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.problems import Problem
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.core.templates import RouteTemplate
from fastapi_scopes.verifiers.base import Vouched

__all__ = ["AccessRequest", "Route", "Verdict"]


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

    @property
    def settled(self) -> dict[str, "Verdict"]:
        """The verdicts on it that are the same for every caller, by method."""
        ...


@dataclass(slots=True)
class AccessRequest:
    """What a verdict rests on; another of these needs another verdict.

    Nobody changes one; that it is not frozen is for the time that this takes at every request.
    """

    route: Route | None
    """The endpoint; None where there is none, or none that a rule could hold for."""
    method: str
    path: str = ""
    """Empty where no rule could depend on it, as where no credentials are looked at."""
    authorization: tuple[bytes, ...] = field(default=(), repr=False)
    offers: tuple[str, ...] = field(default=(), repr=False)
    """The subprotocols of a handshake that are meant as credentials."""
    looks_at_credentials: bool = True
    fields: Sequence[Field] = field(default=(), repr=False, compare=False)
    """All header fields, where credentials are looked at: while they are these, so are those."""


class Verdict:
    """What a guard says of a connection."""

    __slots__ = ("_claims", "_vouched", "problem", "request")

    def __init__(
        self,
        request: AccessRequest,
        vouched: Vouched[Claims] | None = None,
        problem: Problem | None = None,
    ) -> None:
        self.request: AccessRequest = request
        self.problem: Problem | None = problem
        """Why the connection may not pass; None where it may."""
        self._vouched = vouched
        self._claims: Claims | None = None

    def __repr__(self) -> str:
        return f"<Verdict on {self.request!r}: {self.problem or 'may pass'!r}>"

    @property
    def claims(self) -> Claims | None:
        """The claims of the caller, made for this connection when they are first asked for."""
        if self._claims is None and self._vouched is not None:
            self._claims = self._vouched.copy()
        return self._claims

    @property
    def has_claims(self) -> bool:
        """Whether the caller is known."""
        return self._vouched is not None

    @property
    def expires_at(self) -> float | None:
        """The `exp` of the caller's token; None where there is none."""
        return getattr(self._vouched.kept, "exp", None) if self._vouched is not None else None

    def refused(self, problem: Problem) -> "Verdict":
        """Return the same with a *problem*."""
        return Verdict(self.request, self._vouched, problem)
