"""The verifier for JWT access tokens whose keys are known at start-up."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, cast, overload

from pydantic import ValidationError
from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import ConfigurationError, TokenError, TokenFault
from fastapi_scopes.verifiers.keys.ring import elements_of, read_keys
from fastapi_scopes.verifiers.keys.sources import KeySource
from fastapi_scopes.verifiers.tokens.claims import (
    Expectations,
    claims_of,
    require_access_token_type,
    scopes_of,
)
from fastapi_scopes.verifiers.tokens.compact import parse_compact_jws, verify_signature

__all__ = ["MAX_LEEWAY", "JWTVerifier"]

MAX_LEEWAY = 300
"""The most seconds that clocks may differ by."""

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)

_log = logging.getLogger("fastapi_scopes")

# What a validator of the user's may trip over and pydantic does not make a ValidationError:
# a client whose claims lead there would be answered with 500.
_BUGS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError)


class JWTVerifier(Generic[ClaimsT]):
    """Verifies JWT access tokens with the keys that it was given.

    * *keys*, oldest to newest: str (a secret, PEM, OpenSSH), bytes (a secret, DER), dict (JWK
      or JWK set), Path (a PEM or JWK set file). What a str or bytes is, *algorithms* say.
    * *issuer* and *audience*: one str or several, of which a token must match one exactly;
      None asks for neither, and is then your decision.
    * *scopes_claim*: the one claim that holds scopes, "scope", "scp", "realm_access.roles".
    * *claims_model*: a subclass of `Claims` for claims of your own.
    * *leeway*: seconds that the issuer's clock may be off by, 0 to 300.

    Safe for concurrent use: nothing in it changes after the constructor.

    Raises:
        ConfigurationError: from the constructor, every problem at once.
    """

    @overload
    def __init__(
        self: "JWTVerifier[Claims]",
        *,
        keys: Sequence[KeySource],
        algorithms: Sequence[str],
        issuer: str | Sequence[str] | None,
        audience: str | Sequence[str] | None,
        scopes_claim: str = "scope",
        leeway: float = 0,
        now: Callable[[], float] = time.time,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        keys: Sequence[KeySource],
        algorithms: Sequence[str],
        issuer: str | Sequence[str] | None,
        audience: str | Sequence[str] | None,
        scopes_claim: str = "scope",
        claims_model: type[ClaimsT],
        leeway: float = 0,
        now: Callable[[], float] = time.time,
    ) -> None: ...
    def __init__(
        self,
        *,
        keys: Sequence[KeySource],
        algorithms: Sequence[str],
        issuer: str | Sequence[str] | None,
        audience: str | Sequence[str] | None,
        scopes_claim: str = "scope",
        claims_model: type[Claims] = Claims,
        leeway: float = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        ring, key_problems = read_keys(keys, algorithms)
        ConfigurationError.raise_for(
            (
                *key_problems,
                *_expectation_problems("issuer", issuer),
                *_expectation_problems("audience", audience),
                *_setting_problems(scopes_claim, leeway, now),
                *_model_problems(claims_model),
            )
        )
        self._keys = ring
        self._expected = Expectations(_texts_of(issuer), _texts_of(audience), leeway)
        self._scopes_claim = scopes_claim
        # The overloads tie the class to ClaimsT; without one it is Claims, ClaimsT's default.
        self._claims_model = cast("type[ClaimsT]", claims_model)
        self._now = now

    def __repr__(self) -> str:
        return f"<JWTVerifier with {self._keys!r}>"

    async def verify(self, token: str) -> ClaimsT:
        """Return the claims of *token*, every one of them verified.

        Raises:
            TokenError: the token is not valid here; its `code` says why.
        """
        unverified = parse_compact_jws(token, self._keys.algorithms)
        require_access_token_type(unverified.header)
        verified = verify_signature(unverified, self._keys)
        claims = claims_of(verified.payload, self._expected, self._now())
        # INVARIANT: whatever the token itself calls "scopes" is overwritten here, so that only
        # the configured claim grants. Held by test_claim_named_scopes_grants_nothing.
        claims["scopes"] = scopes_of(claims, self._scopes_claim)
        return _modelled(claims, self._claims_model)


def _modelled(claims: dict[str, object], model: type[ClaimsT]) -> ClaimsT:
    try:
        modelled = model.model_validate(claims)
        if _keeps_verified(modelled, model, claims):
            return modelled
    except ValidationError:
        pass
    except _BUGS as bug:
        # Its text may quote claims.
        _log.error("claims model %s raised %s", model.__qualname__, type(bug).__name__)
    # Outside of `except`: a ValidationError quotes claims, and would be this one's context.
    raise TokenError(TokenFault.CLAIMS)


def _keeps_verified(modelled: object, model: type[Claims], claims: dict[str, object]) -> bool:
    # A model may add to what was verified and never change it.
    return (
        isinstance(modelled, model)
        and type(modelled.scopes) is frozenset
        and all(
            getattr(modelled, name) == claims[name]
            for name in Claims.model_fields
            if name in claims
        )
    )


def _model_problems(model: object) -> Iterator[str]:
    if not (isinstance(model, type) and issubclass(model, Claims)):
        yield "claims_model is no subclass of Claims; write class MyClaims(Claims)"
        return
    for name in Claims.model_fields:
        field = model.model_fields.get(name)
        if field is None:
            yield f"claims_model {model.__name__!r} lacks the field {name!r}; do not redefine it"
        elif any(each not in (None, name) for each in (field.alias, field.validation_alias)):
            yield f"claims_model {model.__name__!r} reads {name!r} by an alias; remove it"


def _expectation_problems(setting: str, value: object) -> Iterator[str]:
    if value is None:
        return
    values = [value] if isinstance(value, str) else elements_of(value)
    if not values or not all(isinstance(each, str) and each for each in values):
        yield f"{setting} is no text and no list of texts; None asks for no {setting}"


def _setting_problems(scopes_claim: object, leeway: object, now: object) -> Iterator[str]:
    if not isinstance(scopes_claim, str) or not scopes_claim:
        yield "scopes_claim is no name of a claim; write scopes_claim='scope'"
    if not _is_leeway(leeway):
        yield f"leeway is no number of seconds from 0 to {MAX_LEEWAY}; write leeway=60"
    if not callable(now):
        yield "now is no function; write now=time.time"


def _is_leeway(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= MAX_LEEWAY


def _texts_of(value: str | Sequence[str] | None) -> frozenset[str] | None:
    if value is None:
        return None
    return frozenset([value] if isinstance(value, str) else value)
