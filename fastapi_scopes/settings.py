"""A verifier and a guard out of environment variables; needs the extra ``settings``."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.requirements import RequirementLike
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.guard import ScopeGuard
from fastapi_scopes.verifiers.base import ProofChecker, RevocationList
from fastapi_scopes.verifiers.jwks import JWKSVerifier
from fastapi_scopes.verifiers.jwt import JWTVerifier

try:
    from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
except ImportError:
    raise ImportError(
        "pydantic-settings is not installed; pip install 'fastapi-scopes[settings]'"
    ) from None

__all__ = ["ScopesSettings"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)

_PREFIX: Final = "FASTAPI_SCOPES_"
_AGENTOS_KEY: Final = "JWT_VERIFICATION_KEY"
_DEFAULT_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")


def _split(value: object) -> object:
    return [each.strip() for each in value.split(",")] if isinstance(value, str) else value


_Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class ScopesSettings(BaseSettings):
    """What FASTAPI_SCOPES_* says, one variable a field; lists are written with commas.

    Keys are *verification_key* (a secret or a PEM; also under its AgentOS name
    JWT_VERIFICATION_KEY), or else those that *issuer* publishes, or *jwks_uri* holds. That any
    issuer or any audience will do has to be said: *any_issuer*, *any_audience*.

    Raises:
        ConfigurationError: a variable is malformed, or is none of these. What does not go
            together is named by `verifier`.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=_PREFIX,
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    issuer: str | None = None
    any_issuer: bool = False
    audience: _Texts | None = None
    any_audience: bool = False
    jwks_uri: str | None = None
    verification_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices(f"{_PREFIX}VERIFICATION_KEY", _AGENTOS_KEY)
    )
    algorithms: _Texts | None = None
    """Default: RS256 for a verification key, as AgentOS has it; else that of `JWKSVerifier`."""
    scopes_claim: str = "scope"
    leeway: float = 0
    strict: bool = False
    allowed_scopes: _Texts | None = None
    cache_ttl: float = 60
    allow_http: bool = False
    admin_scope: str | None = None
    realm: str = "api"

    def __init__(self, **values: object) -> None:
        problems = [*_unknown_variables(type(self))]
        try:
            super().__init__(**values)  # type: ignore[arg-type]
        except ValidationError as error:
            # Without the context: it would quote what the variables hold.
            problems.extend(f"{_name_of(each['loc'])}: {each['msg']}" for each in error.errors())
        ConfigurationError.raise_for(problems)

    def verifier(
        self,
        *,
        # Where nothing is passed ClaimsT is Claims, its default.
        claims_model: type[ClaimsT] = Claims,  # type: ignore[assignment]
        revocations: RevocationList | None = None,
        proof: ProofChecker | None = None,
        now: Callable[[], float] = time.time,
    ) -> JWTVerifier[ClaimsT] | JWKSVerifier[ClaimsT]:
        """Return the verifier for these settings.

        Raises:
            ConfigurationError: they do not go together, or are refused by the verifier.
        """
        ConfigurationError.raise_for(self._problems())
        if self.verification_key is None:
            return JWKSVerifier(
                issuer=self.issuer,
                audience=self.audience,
                jwks_uri=self.jwks_uri,
                algorithms=_DEFAULT_ALGORITHMS if self.algorithms is None else self.algorithms,
                allow_http=self.allow_http,
                scopes_claim=self.scopes_claim,
                claims_model=claims_model,
                leeway=self.leeway,
                strict=self.strict,
                allowed_scopes=self.allowed_scopes,
                revocations=revocations,
                proof=proof,
                cache_ttl=self.cache_ttl,
                now=now,
            )
        return JWTVerifier(
            keys=[self.verification_key.get_secret_value()],
            issuer=self.issuer,
            audience=self.audience,
            algorithms=("RS256",) if self.algorithms is None else self.algorithms,
            scopes_claim=self.scopes_claim,
            claims_model=claims_model,
            leeway=self.leeway,
            strict=self.strict,
            allowed_scopes=self.allowed_scopes,
            revocations=revocations,
            proof=proof,
            cache_ttl=self.cache_ttl,
            now=now,
        )

    def guard(
        self,
        scope_map: ScopeMap | Mapping[str, RequirementLike],
        *,
        # Where nothing is passed ClaimsT is Claims, its default.
        claims_model: type[ClaimsT] = Claims,  # type: ignore[assignment]
        revocations: RevocationList | None = None,
        proof: ProofChecker | None = None,
        bind: Callable[[MutableMapping[str, Any], ClaimsT], None] | None = None,
    ) -> ScopeGuard[ClaimsT]:
        """Return a guard by *scope_map* with the verifier for these settings.

        Raises:
            ConfigurationError: as `verifier` and `ScopeGuard` do.
        """
        verifier = self.verifier(claims_model=claims_model, revocations=revocations, proof=proof)
        return ScopeGuard(
            scope_map,
            verifier=verifier,
            admin_scope=self.admin_scope,
            realm=self.realm,
            bind=bind,
        )

    def _problems(self) -> Iterator[str]:
        for name, value, is_any in (
            ("issuer", self.issuer, self.any_issuer),
            ("audience", self.audience, self.any_audience),
        ):
            variable = _PREFIX + name.upper()
            if value is None and not is_any:
                yield f"{variable} is not set; set it, or {_PREFIX}ANY_{name.upper()}=true"
            if value is not None and is_any:
                yield f"{variable} and {_PREFIX}ANY_{name.upper()} are both set; keep one"
        if self.verification_key is not None and self.jwks_uri is not None:
            yield f"{_PREFIX}JWKS_URI and a verification key are both set; keep one"
        if self.verification_key is None and self.jwks_uri is None and self.issuer is None:
            yield (
                f"there are no keys; set {_PREFIX}ISSUER, {_PREFIX}JWKS_URI or"
                f" {_PREFIX}VERIFICATION_KEY"
            )


def _unknown_variables(settings: type[BaseSettings]) -> Iterator[str]:
    known = {f"{_PREFIX}{name}".upper() for name in settings.model_fields}
    for name in os.environ:
        # A limit that is misspelt would be no limit.
        if name.upper().startswith(_PREFIX) and name.upper() not in known:
            yield f"{name} is no setting; choose of {', '.join(sorted(known))}"


def _name_of(place: tuple[int | str, ...]) -> str:
    first = str(place[0]) if place else ""
    return first if first.isupper() else _PREFIX + first.upper()
