"""Access requests, and the verdicts of a guard on them."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fastapi_scopes.authorization.fields import Field
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.decisions import Decision
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.problems import Problem
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.core.templates import RouteTemplate
from fastapi_scopes.events import Cause
from fastapi_scopes.verifiers.base import SharedClaims

__all__ = ["AccessRequest", "Route", "Verdict", "awaited_verdict", "refusing"]


class Route(Protocol):
    """An endpoint, as scope maps see it."""

    @property
    def template(self) -> RouteTemplate: ...  # noqa: D102
    @property
    def kind(self) -> Kind: ...  # noqa: D102
    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that the route itself asks for."""
        ...

    @property
    def rules_by_method(self) -> dict[str, Rule | None]:
        """The rules that were found for the route, by method."""
        ...

    @property
    def constant_verdicts(self) -> dict[str, "Verdict"]:
        """The verdicts on the route that are the same for every caller, by method."""
        ...


@dataclass(slots=True)
class AccessRequest:
    """The route, method, path and credentials of a request: all that a verdict depends on.

    Nobody changes one; it is not frozen, because a frozen one takes longer to make.
    """

    route: Route | None
    """The endpoint; None where there is none, or none that a rule could hold for."""
    method: str
    path: str = ""
    """Empty where no credentials are looked at, because nothing depends on it then."""
    authorization: tuple[bytes, ...] = field(default=(), repr=False)
    offers: tuple[str, ...] = field(default=(), repr=False)
    """The subprotocols of a handshake that are meant as credentials."""
    looks_at_credentials: bool = True
    fields: Sequence[Field] = field(default=(), repr=False, compare=False)
    """All header fields, where credentials are looked at: equal fields, equal credentials."""


class Verdict:
    """The verdict of a guard on one access request: that it may pass, or why it is refused."""

    # No slots: defaults stay on the class, so that a request pays for no attribute that it does not
    # set.
    problem: Problem | None = None
    """Why the connection may not pass; None where it may."""
    reported: bool = False
    """Whether it may pass only because the refusal is reported, until a moment."""
    _claims: Claims | None = None

    def __init__(
        self,
        request: AccessRequest,
        rule: Rule | None = None,
        cause: Cause | None = None,
        shared: SharedClaims[Claims] | None = None,
    ) -> None:
        self.request: AccessRequest = request
        self.rule: Rule | None = rule
        self.cause: Cause | None = cause
        """What the verdict rests on; None where nothing was decided, because nothing runs."""
        self._shared = shared

    def __repr__(self) -> str:
        return f"<Verdict on {self.request!r}: {self.problem or 'may pass'!r}>"

    @property
    def claims(self) -> Claims | None:
        """The claims of the caller, copied for this connection when they are first asked for."""
        if self._claims is None and self._shared is not None:
            self._claims = self._shared.copy()
        return self._claims

    @property
    def caller(self) -> Claims | None:
        """The claims of the caller, only to be read, also where the caller is refused."""
        if self._shared is not None:
            return self._shared.original
        return self.cause.claims if isinstance(self.cause, Decision) else None

    @property
    def has_claims(self) -> bool:
        """Whether there are claims: the caller has a token that was verified."""
        return self._shared is not None

    @property
    def expires_at(self) -> float | None:
        """The `exp` of the caller's token; None where there is none."""
        shared = self._shared
        if shared is None or shared.is_endless:
            return None
        return getattr(shared.original, "exp", None)

    def refused(self, cause: Cause, problem: Problem) -> "Verdict":
        """Return a verdict on the same request that refuses it with *problem*, for *cause*."""
        verdict = refusing(self.request, self.rule, cause, problem)
        verdict._shared = self._shared
        return verdict


def refusing(request: AccessRequest, rule: Rule | None, cause: Cause, problem: Problem) -> Verdict:
    """Return a verdict that refuses *request* with *problem*, for *cause*."""
    verdict = Verdict(request, rule, cause)
    verdict.problem = problem
    return verdict


async def awaited_verdict(verdict: Verdict | Awaitable[Verdict]) -> Verdict:
    """Return *verdict*, awaited where it is not at hand."""
    return verdict if isinstance(verdict, Verdict) else await verdict
