"""Decision events, and the pseudonyms of their subjects."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fastapi_scopes._lines import one_line, quoted
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.decisions import Decision
from fastapi_scopes.core.problems import Problem, ProblemCode
from fastapi_scopes.errors import (
    ConfigurationProblem,
    CredentialsError,
    ErrorCode,
    ScopesError,
    TokenError,
    TokenFault,
    VerifierUnavailable,
)

__all__ = ["Cause", "DecisionEvent", "Pseudonyms", "event_of"]

Cause = Decision | CredentialsError | TokenError | VerifierUnavailable
"""What a verdict rests on: the decision, or why there was none."""

_MIN_KEY_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEvent:
    """One decision of a guard on one request. Nothing in it is a token, or a path of a client.

    Subject, client, actor and jti are those of a verified token, as the issuer wrote them: escape
    them where you show them. They are None where no token was verified.
    """

    allowed: bool
    reason: str
    """Why: ``granted``, ``public``, ``insufficient_scope``, ``audience`` ..., as on the page *When
    a request is refused*."""
    status: int | None = None
    """The status of the refusal; None where the request may pass."""
    code: ProblemCode | None = None
    """The `code` that the client reads in the refusal; None where the request may pass."""
    method: str
    """The HTTP method, as the client wrote it, or WEBSOCKET."""
    template: str | None = None
    """The template of the route; None where there is none."""
    rule: str | None = None
    """The key of the rule that decided; None where there is none."""
    subject: str | None = None
    """`sub`, or its pseudonym."""
    client: str | None = None
    """`client_id`, or else `azp`."""
    actor: str | None = None
    """`sub` of `act` (RFC 8693 4.1), or its pseudonym: who acts for the subject."""
    jti: str | None = None
    missing: tuple[str, ...] = ()
    """The scopes that were missing."""
    detail: str = ""
    """What was expected of a token that is not valid here."""
    reported: bool = False
    """Whether the request passes only because refusals are reported until a moment."""
    moment: datetime
    """When it was decided, in UTC."""

    def attributes(self) -> dict[str, object]:
        """Return what is known, by the names that log records and spans have for it."""
        known: dict[str, object] = {
            "allowed": self.allowed,
            "reason": self.reason,
            "status": self.status,
            "code": self.code and str(self.code),
            "method": self.method,
            "template": self.template,
            "rule": self.rule,
            "sub": self.subject,
            "client_id": self.client,
            "actor": self.actor,
            "jti": self.jti,
            "missing": list(self.missing),
            "detail": self.detail,
            "reported": self.reported,
        }
        return known

    def __str__(self) -> str:
        """Return a line for a log; what a client or an issuer wrote is escaped and short."""
        what = "allowed" if self.allowed else "refused"
        if self.reported:
            what = "reported, not refused:"
        why = one_line(", ".join(filter(None, (self.reason, self.detail))))
        if self.missing:
            why += f", missing {' '.join(map(repr, self.missing))}"
        code = self.code if self.code not in {None, self.reason} else None
        known = {
            "rule": self.rule,
            "sub": self.subject,
            "client_id": self.client,
            "actor": self.actor,
            "jti": self.jti,
        }
        named = (f"{name} {quoted(value)}" for name, value in known.items() if value is not None)
        answer = " ".join(str(each) for each in (self.status, code) if each is not None)
        behind = ", ".join(filter(None, (answer, *named)))
        where = f"{what} {_method_in(self.method)} on {self.template or '-'}: {why}"
        return f"{where} ({behind})" if behind else where


def _method_in(method: str) -> str:
    # Clients may write any token there.
    return method if method.isascii() and method.isalpha() and len(method) < 20 else quoted(method)


class Pseudonyms:
    """Names for subjects by which nobody is known who has not the key; without one, as they are."""

    __slots__ = ("_key",)

    def __init__(self, key: str | bytes | None = None) -> None:
        self._key = key.encode() if isinstance(key, str) else key

    @classmethod
    def problem_with(cls, key: object) -> ConfigurationProblem | None:
        """Return what is wrong with *key*, or None."""
        if key is None or (isinstance(key, str | bytes) and len(key) >= _MIN_KEY_BYTES):
            return None
        return ConfigurationProblem(
            f"is no secret of at least {_MIN_KEY_BYTES} bytes",
            "write the output of: openssl rand -base64 32",
            setting="subject_key",
        )

    def of(self, name: str | None) -> str | None:
        """Return the pseudonym of *name*: 32 hexadecimal digits of its HMAC-SHA256."""
        if name is None or self._key is None:
            return name
        return hmac.digest(self._key, name.encode(errors="surrogatepass"), "sha256").hex()[:32]


def event_of(  # noqa: PLR0913 - one keyword for each part
    cause: Cause,
    problem: Problem | None,
    *,
    caller: Claims | None,
    method: str,
    template: object,
    rule: object,
    reported: bool,
    pseudonyms: Pseudonyms,
    now: float,
) -> DecisionEvent:
    """Return the event of a decision for *cause*; with a *problem* it is a refusal.

    *caller* are the claims of a token that was verified.
    """
    decision = cause if isinstance(cause, Decision) else None
    claims = _claims_in(caller)
    actor = claims.get("act")
    return DecisionEvent(
        allowed=problem is None,
        reason=reason_of(cause),
        status=None if problem is None else problem.status,
        code=None if problem is None else problem.code,
        method=method,
        template=None if template is None else str(template),
        rule=None if rule is None else str(rule),
        subject=pseudonyms.of(_text(claims.get("sub"))),
        client=_text(claims.get("client_id")) or _text(claims.get("azp")),
        actor=pseudonyms.of(_text(actor.get("sub")) if type(actor) is dict else None),
        jti=_text(claims.get("jti")),
        missing=decision.missing if decision is not None else (),
        detail=(_text(cause.detail) or "") if isinstance(cause, TokenError) else "",
        reported=reported,
        moment=datetime.fromtimestamp(now, UTC),
    )


def reason_of(cause: Cause) -> str:
    """Return the one word that says why."""
    if not isinstance(cause, ScopesError):
        return cause.reason.value
    # Code of the application may raise one with a code of its own.
    code: object = cause.code
    return code.value if isinstance(code, TokenFault | ErrorCode) else TokenFault.CLAIMS.value


def _claims_in(claims: Claims | None) -> Mapping[str, Any]:
    # INVARIANT: no property of a claims model runs for the log
    # (test_code_of_a_claims_model_ends_no_request).
    if claims is None:
        return {}
    return {**(claims.__pydantic_extra__ or {}), **vars(claims)}


def _text(value: object) -> str | None:
    # A claims model of the application may give a claim another type.
    return str.__str__(value) if isinstance(value, str) else None
