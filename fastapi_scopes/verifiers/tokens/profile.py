"""The checks that a verifier makes on a token, and the claims that come of it."""

import copy
import json
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Generic, TypeVar, cast

from pydantic import ValidationError

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import (
    ConfigurationError,
    TokenError,
    TokenFault,
    VerifierUnavailable,
    type_and_place_of,
)
from fastapi_scopes.verifiers._interruptions import is_interruption
from fastapi_scopes.verifiers.base import Origin, ProofChecker, RevocationList, SharedClaims
from fastapi_scopes.verifiers.options import ResolvedOptions, TokenKind
from fastapi_scopes.verifiers.tokens.claims import (
    NEEDED_CLAIMS,
    Expectations,
    require_bearer,
    require_claims,
)
from fastapi_scopes.verifiers.tokens.expected_issuers import ExpectedIssuers, require_key_issuer
from fastapi_scopes.verifiers.tokens.kinds import require_kind, require_type
from fastapi_scopes.verifiers.tokens.limits import ScopeLimits
from fastapi_scopes.verifiers.tokens.option_problems import option_problems
from fastapi_scopes.verifiers.tokens.scopes_claim import ScopesReader
from fastapi_scopes.verifiers.tokens.vetted import VettedClaims

__all__ = ["TokenProfile"]

_FIELDS: Final = frozenset(Claims.model_fields)

ClaimsT = TypeVar("ClaimsT", bound=Claims)

_log = logging.getLogger("fastapi_scopes")


class TokenProfile(Origin, Generic[ClaimsT]):
    """The checks of one verifier on its tokens, JWTs or opaque ones.

    Claims without `exp` are taken where there is a *lifetime*, in seconds, which they then have;
    elsewhere they are refused with the text *endless*.

    Raises:
        ConfigurationError: from the constructor, every problem at once.
    """

    def __init__(
        self,
        options: ResolvedOptions[ClaimsT],
        *,
        lifetime: float | None = None,
        endless: str = "there is no 'exp'",
    ) -> None:
        ConfigurationError.raise_for(option_problems(options))
        self._expected = Expectations(
            issuers=ExpectedIssuers.of(options.issuer, options.tenants),
            audiences=_texts_of(options.audience),
            parties=_texts_of(options.authorized_parties),
            required=copy.deepcopy(dict(options.require_claims or {})),
            leeway=options.leeway,
            skew=max(options.leeway, options.clock_skew),
            needed=NEEDED_CLAIMS if options.strict else (),
            takes_bound=options.proof is not None,
            takes_endless=lifetime is not None,
            endless=endless,
        )
        self._lifetime = lifetime or 0
        self._kind: TokenKind = options.token_kind
        self._is_strict = options.strict
        self.max_token_chars: int = options.max_token_chars
        self._scopes = ScopesReader(options.scopes_claim)
        self._claims_model = options.claims_model
        allowed = options.allowed_scopes
        self._limits = ScopeLimits.parse(allowed) if allowed is not None else None
        self._revocations = options.revocations
        self._proof = options.proof

    @property
    def issuers(self) -> frozenset[str] | None:
        """The issuers of which a token must name one; None asks for none."""
        expected = self._expected.issuers
        return expected.names if expected is not None else None

    @property
    def is_limited(self) -> bool:
        """Whether the issuers may grant some scopes alone."""
        return self._limits is not None

    def is_listed(self, scope: str) -> bool:
        """Tell whether *scope* is by name one of those that the issuers are limited to."""
        return self._limits is not None and scope in self._limits.names

    def may_grant(self, scope: str) -> bool:
        """Tell whether the issuers are without limits, or *scope* is by name within these."""
        return self._limits is None or self.is_listed(scope)

    def require_type(self, header: Mapping[str, object]) -> None:
        """Return where *header* is that of a token of the kind that is taken.

        Raises:
            TokenError: it is not.
        """
        require_type(header, self._kind, strict=self._is_strict)

    def vet(
        self,
        claims: dict[str, object],
        now: float,
        *,
        header: Mapping[str, object] | None = None,
        key_issuers: Collection[str] | None = None,
    ) -> VettedClaims[ClaimsT]:
        """Return what *claims*, verified to be the issuer's words, say *now*.

        *header* is that of their token, where it is a JWT; *key_issuers* are the issuers for which
        its key is published, and None is any issuer.

        Raises:
            TokenError: they are not valid here.
        """
        require_bearer(claims, self._expected)
        # Before the claims: a token of another kind also has another audience, or another client.
        require_kind(claims, self._kind, header=header, audiences=self._expected.audiences)
        require_claims(claims, self._expected, now)
        require_key_issuer(claims, key_issuers)
        scopes = self._scopes.scopes_of(claims)
        if self._limits is not None:
            scopes = self._limits.within(scopes)
        is_endless = "exp" not in claims
        if is_endless:
            claims["exp"] = now + self._lifetime
        # `require_claims` has seen that these are numbers.
        times = cast("dict[str, float]", claims)
        return VettedClaims[ClaimsT].of(
            claims,
            scopes,
            expires_at=math.inf if is_endless else times["exp"] + self._expected.leeway,
            begins_at=max(times.get("nbf", -math.inf), times.get("iat", -math.inf)),
        )

    def model(self, vetted: VettedClaims[ClaimsT]) -> VettedClaims[ClaimsT]:
        """Return *vetted* with what the claims model makes of it; call it once, for the request.

        Raises:
            TokenError: the model refuses the claims.
        """
        claims, vetted.parsed = cast("dict[str, object]", vetted.parsed), None
        # INVARIANT: whatever the token itself calls "scopes" is overwritten here, so that only
        # the configured claim grants. Held by test_claim_named_scopes_grants_nothing.
        claims["scopes"] = vetted.scopes
        modelled = _modelled(claims, self._claims_model)
        if vetted.expires_at == math.inf:
            modelled.model_fields_set.discard("exp")
        vetted.shared_claims = _copyable(modelled)
        vetted.shared_claims.origin = self
        is_proof_asked = self._proof is not None and vetted.confirmation is not None
        if self._revocations is None and not is_proof_asked:
            vetted.claims_at_hand = vetted.shared_claims
        return vetted

    async def admit(
        self, vetted: VettedClaims[ClaimsT], token: str, now: float
    ) -> SharedClaims[ClaimsT]:
        """Return the claims of *token*, after all that another moment may answer otherwise.

        Raises:
            TokenError: it is not valid now, was revoked, or nobody proves that it is theirs.
            VerifierUnavailable: whether it was revoked cannot be told.
        """
        # RFC 7519 4.1.4, 4.1.5. Written so that a clock that answers NaN refuses.
        late = now - vetted.expires_at
        if not late < 0:
            raise TokenError(TokenFault.EXPIRED, f"{late + self._expected.leeway:.1f} s late")
        early = vetted.begins_at - now
        if not early <= self._expected.skew:
            raise TokenError(TokenFault.NOT_YET_VALID, f"{early:.1f} s early")
        if self._revocations is not None:
            await self._require_not_revoked(vetted)
        if self._proof is not None and vetted.confirmation is not None:
            await self._require_proof(token, json.loads(vetted.confirmation))
        return cast("SharedClaims[ClaimsT]", vetted.shared_claims)

    async def _require_not_revoked(self, vetted: VettedClaims[ClaimsT]) -> None:
        # A token that cannot be named could never be revoked.
        if not isinstance(vetted.jti, str) or not vetted.jti:
            raise TokenError(TokenFault.CLAIMS, "there is no 'jti', by which it could be revoked")
        if await self._revocation_answer(vetted.issuer, vetted.jti) is not False:
            raise TokenError(TokenFault.REVOKED, "the revocation list has its 'jti'")

    async def _revocation_answer(self, issuer: str | None, jti: str) -> object:
        try:
            return await cast("RevocationList", self._revocations).is_revoked(issuer, jti)
        except (TokenError, VerifierUnavailable):
            raise
        except BaseException as bug:  # code of the application, asked for any token
            if is_interruption(bug):
                raise
            _log.error("revocation list raised %s", type_and_place_of(bug))
        raise VerifierUnavailable

    async def _require_proof(self, token: str, confirmation: Mapping[str, object]) -> None:
        answer: object = False
        try:
            proof = cast("ProofChecker", self._proof)
            answer = await proof.check(token, confirmation)  # type: ignore[func-returns-value]
        except (TokenError, VerifierUnavailable):
            raise
        except BaseException as bug:  # code of the application, given any confirmation
            if is_interruption(bug):
                raise
            _log.error("proof checker raised %s", type_and_place_of(bug))
        # One that says no instead of raising is believed. By identity: `==` may be its own code.
        if answer is not None and answer is not True:  # pyright: ignore[reportUnnecessaryComparison]
            raise TokenError(TokenFault.CONFIRMATION, "the proof checker did not accept it")


def _modelled(claims: dict[str, object], model: type[ClaimsT]) -> ClaimsT:
    detail = "the claims model changes what was verified"
    try:
        modelled = model.model_validate(claims)
        if _keeps_verified(modelled, model, claims):
            return modelled
    except ValidationError as error:
        detail = _refusal_in(error, model)
    except Exception as bug:  # noqa: BLE001 - code of the application, given any claims
        # Its text may quote them.
        detail = "the claims model failed"
        _log.error("claims model %s raised %s", model.__qualname__, type_and_place_of(bug))
    # Outside of `except`: a ValidationError quotes claims, and would be this one's context.
    raise TokenError(TokenFault.CLAIMS, detail)


def _refusal_in(error: ValidationError, model: type[Claims]) -> str:
    """Return the fields that *model* refuses, and why; nothing of the claims themselves."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    # What stands inside of a claim may be called by a word of the token.
    faults = {str(each["loc"][0]): each["type"] for each in found if each["loc"]}
    aliases = {name: field.alias or name for name, field in model.model_fields.items()}
    known = {*aliases, *aliases.values()}
    refused = ", ".join(f"{name!r} ({why})" for name, why in faults.items() if name in known)
    return f"the claims model refuses {refused or 'them'}"


def _copyable(claims: ClaimsT) -> SharedClaims[ClaimsT]:
    shared = SharedClaims(claims)
    if shared.is_plain:
        return shared
    try:
        # Every request gets a copy.
        shared.copy()
    except Exception as bug:  # noqa: BLE001 - code of the application, given any claims
        _log.error(
            "claims model %s cannot be copied: %s", type(claims).__name__, type_and_place_of(bug)
        )
    else:
        return shared
    raise TokenError(TokenFault.CLAIMS, "the claims model cannot be copied")


def _keeps_verified(modelled: object, model: type[Claims], claims: dict[str, object]) -> bool:
    # A model may add to what was verified and never change it.
    if not isinstance(modelled, model) or type(modelled.scopes) is not frozenset:
        return False
    for name, value in claims.items():
        if name in _FIELDS and getattr(modelled, name) != value:
            return False
    return True


def _texts_of(value: str | Sequence[str] | None) -> frozenset[str] | None:
    if value is None:
        return None
    return frozenset([value] if isinstance(value, str) else value)
