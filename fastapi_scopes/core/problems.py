"""A refusal as data: the problem document (RFC 9457) and the challenge (RFC 6750 3)."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, cast

from fastapi_scopes.core.decisions import Decision, Reason
from fastapi_scopes.core.requested_scopes import RequestedScopes
from fastapi_scopes.core.requirements import Alternative
from fastapi_scopes.core.scopes import require_scope_token, scopes_in
from fastapi_scopes.errors import (
    Assignment,
    ConfigurationError,
    ConfigurationProblem,
    CredentialsError,
    TokenError,
    VerifierUnavailable,
    collecting,
)

__all__ = [
    "UNDECIDED",
    "Challenge",
    "Problem",
    "ProblemCode",
    "ProtectionSpace",
    "problem_of",
    "require_challenge_scopes",
    "require_realm",
]

# RFC 9110 5.6.4: the characters that stand unescaped in a quoted-string.
_QUOTABLE = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
_AS_THEY_ARE: Final = RequestedScopes()


def require_realm(realm: object) -> str:
    """Return *realm* after a check that it fits into a challenge.

    Raises:
        ConfigurationError: it is no text of visible ASCII, or holds a quote or a backslash.
    """
    if isinstance(realm, str) and _QUOTABLE.fullmatch(realm):
        return realm
    raise ConfigurationError.of(
        f"{realm!r} is no quotable ASCII text", "write one like 'api'", setting="realm"
    )


def require_challenge_scopes(scopes: object) -> Alternative:
    """Return *scopes*, each once, after a check that they are a list of scopes.

    Raises:
        ConfigurationError: naming every element that is no scope.
    """
    if isinstance(scopes, str) or not isinstance(scopes, Sequence):
        meant = scopes_in(scopes) if isinstance(scopes, str) else []
        raise ConfigurationError.of(
            "is no list of scopes",
            Assignment("challenge_scopes", meant or ["a:read"]),
            setting="challenge_scopes",
        )
    problems: list[ConfigurationProblem] = []
    for position, each in enumerate(cast("Sequence[object]", scopes)):
        with collecting(problems, setting=f"challenge_scopes[{position}]"):
            require_scope_token(each)
    ConfigurationError.raise_for(problems)
    return tuple(dict.fromkeys(cast("Sequence[str]", scopes)))


@dataclass(frozen=True, slots=True)
class ProtectionSpace:
    """The parameters of every challenge of one guard (RFC 9110 11.5), all of them quotable."""

    realm: str
    scopes: Alternative = ()
    """The scopes that a client without a valid token is told to ask for, whatever the rule."""
    resource_metadata: str | None = None
    """The URL of the metadata of this resource server (RFC 9728 5.1)."""
    requested: RequestedScopes = _AS_THEY_ARE
    """The names by which clients ask for the scopes of rules."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The value of WWW-Authenticate (RFC 6750 3)."""

    realm: str
    error: str | None = None
    error_description: str | None = None
    scopes: Alternative = ()
    resource_metadata: str | None = None

    def to_header(self) -> str:
        """Return the field value; every parameter stands once and is quoted."""
        parameters = {
            "realm": self.realm,
            "error": self.error,
            "error_description": self.error_description,
            "scope": " ".join(self.scopes) or None,
            "resource_metadata": self.resource_metadata,
        }
        written = (f'{name}="{value}"' for name, value in parameters.items() if value is not None)
        return "Bearer " + ", ".join(written)


class ProblemCode(StrEnum):
    """What the caller is told a refusal is about."""

    MISSING_CREDENTIALS = "missing_credentials"
    INVALID_REQUEST = "invalid_request"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - a code
    INSUFFICIENT_SCOPE = "insufficient_scope"
    FORBIDDEN = "forbidden"
    VERIFIER_UNAVAILABLE = "verifier_unavailable"


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal, as RFC 9457 writes it; all of its text is constant but the scopes."""

    status: int
    code: ProblemCode
    title: str
    detail: str
    required: tuple[Alternative, ...] | None = None
    """On insufficient scope: the sets of scopes of which one is enough."""
    challenge: Challenge | None = None
    retry_after: int | None = field(default=None)
    """Seconds, where tokens cannot be verified now."""

    def to_json(self) -> bytes:
        """Return the body, of media type ``application/problem+json``."""
        members: dict[str, object] = {
            "type": f"urn:fastapi-scopes:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.required is not None:
            members["required"] = self.required
        return json.dumps(members, separators=(",", ":")).encode()

    def headers(self) -> Iterator[tuple[str, str]]:
        """Yield the response fields that belong to the refusal."""
        if self.challenge is not None:
            yield "WWW-Authenticate", self.challenge.to_header()
        if self.status == 401:
            # RFC 9111 5.2.2.5: an answer that a token could change is not kept.
            yield "Cache-Control", "no-store"
        if self.retry_after is not None:
            yield "Retry-After", str(self.retry_after)


_Text = tuple[int, ProblemCode, str, str]

_MISSING_CREDENTIALS: Final[_Text] = (
    401,
    ProblemCode.MISSING_CREDENTIALS,
    "Authentication required",
    "a bearer token is required",
)
_INVALID_REQUEST: Final[_Text] = (
    400,
    ProblemCode.INVALID_REQUEST,
    "Malformed credentials",
    "the Authorization header is not one bearer credential",
)
_INVALID_TOKEN: Final[_Text] = (
    401,
    ProblemCode.INVALID_TOKEN,
    "Invalid token",
    "the access token is not valid here",
)
_INSUFFICIENT_SCOPE: Final[_Text] = (
    403,
    ProblemCode.INSUFFICIENT_SCOPE,
    "Insufficient scope",
    "the access token lacks a required scope",
)
_FORBIDDEN: Final[_Text] = (403, ProblemCode.FORBIDDEN, "Forbidden", "access is denied")
_VERIFIER_UNAVAILABLE: Final[_Text] = (
    503,
    ProblemCode.VERIFIER_UNAVAILABLE,
    "Verification unavailable",
    "tokens cannot be verified now",
)

UNDECIDED: Final = Problem(*_VERIFIER_UNAVAILABLE, retry_after=1)
"""The 503 for everybody when the start-up check fails after the app has begun to serve."""


def problem_of(
    refusal: Decision | CredentialsError | TokenError | VerifierUnavailable, space: ProtectionSpace
) -> Problem:
    """Return the problem for *refusal*: a decision that does not allow, or an error."""
    if isinstance(refusal, CredentialsError):
        _, code, _, detail = _INVALID_REQUEST
        return Problem(*_INVALID_REQUEST, challenge=Challenge(space.realm, code, detail))
    if isinstance(refusal, TokenError):
        _, code, _, detail = _INVALID_TOKEN
        challenge = _challenge_in(space, code, detail, scopes=space.scopes)
        return Problem(*_INVALID_TOKEN, challenge=challenge)
    if isinstance(refusal, VerifierUnavailable):
        return Problem(*_VERIFIER_UNAVAILABLE, retry_after=refusal.retry_after)
    if refusal.reason is Reason.MISSING_CREDENTIALS:
        # RFC 6750 3.1: no error code where no credentials were sent.
        challenge = _challenge_in(space, scopes=space.scopes)
        return Problem(*_MISSING_CREDENTIALS, challenge=challenge)
    if refusal.reason is Reason.INSUFFICIENT_SCOPE and refusal.rule is not None:
        return _insufficient(refusal.rule.requirement.alternatives, refusal.nearest, space)
    return Problem(*_FORBIDDEN)


def _challenge_in(
    space: ProtectionSpace,
    error: str | None = None,
    description: str | None = None,
    *,
    scopes: Alternative,
) -> Challenge:
    return Challenge(space.realm, error, description, scopes, space.resource_metadata)


def _insufficient(
    alternatives: tuple[Alternative, ...], nearest: Alternative, space: ProtectionSpace
) -> Problem:
    _, code, _, detail = _INSUFFICIENT_SCOPE
    asked_for = space.requested.names_of(nearest)
    challenge = _challenge_in(space, code, detail, scopes=asked_for)
    return Problem(*_INSUFFICIENT_SCOPE, required=alternatives, challenge=challenge)
