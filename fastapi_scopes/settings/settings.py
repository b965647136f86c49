"""`ScopesSettings`: what the environment says of tokens, and the verifier that follows it."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Literal, cast

from fastapi.security.base import SecurityBase
from pydantic import SecretStr
from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.requirements import RequirementLike
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem
from fastapi_scopes.events import Hooks
from fastapi_scopes.guard import ScopeGuard
from fastapi_scopes.settings.fields import SettingsFields
from fastapi_scopes.settings.variables import PREFIX, in_variables, variables_of
from fastapi_scopes.verifiers.base import ProofChecker, RevocationList
from fastapi_scopes.verifiers.jwks import JWKSVerifier
from fastapi_scopes.verifiers.jwt import JWTVerifier
from fastapi_scopes.verifiers.keys.addresses import names_file
from fastapi_scopes.verifiers.options import PUBLISHED_ALGORITHMS, AlgorithmName, JWTOptions

__all__ = ["ScopesSettings"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)

_log = logging.getLogger("fastapi_scopes")


class ScopesSettings(SettingsFields):
    """What FASTAPI_SCOPES_* says, one variable a field; lists are written with commas.

    Keys are *verification_key* (a secret or a PEM; also under its AgentOS name
    JWT_VERIFICATION_KEY), or else those that *issuer* publishes, or *jwks_uri* holds. That any
    issuer or any audience will do has to be said: *any_issuer*, *any_audience*.

    *_env_file* and *_secrets_dir* are those of pydantic-settings: a dotenv file, of which other
    variables are left alone, and a folder with a file for each variable.

    Raises:
        ConfigurationError: a variable or keyword is malformed, or is none of these. What does
            not go together is named by `verifier`.
    """

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
        problems = [*self._problems(), *self._empty().values()]
        options: JWTOptions[ClaimsT] = {
            "scopes_claim": self.scopes_claim,
            "claims_model": claims_model,
            "token_kind": self.token_kind,
            "tenants": self.tenants,
            "authorized_parties": self.authorized_parties,
            "require_claims": self.require_claims,
            "leeway": self.leeway,
            "clock_skew": self.clock_skew,
            "max_token_chars": self.max_token_chars,
            "strict": self.strict,
            "allowed_scopes": self.allowed_scopes,
            "revocations": revocations,
            "proof": proof,
            "cache_ttl": self.cache_ttl,
            "now": now,
        }
        try:
            key = self.verification_key
            verifier = self._following(options) if key is None else self._given(key, options)
        except ConfigurationError as error:
            problems.extend(self._named(error))
            raise ConfigurationError(*problems) from None
        ConfigurationError.raise_for(problems)
        return verifier

    def guard(
        self,
        scope_map: ScopeMap | Mapping[str, RequirementLike],
        *,
        # Where nothing is passed ClaimsT is Claims, its default.
        claims_model: type[ClaimsT] = Claims,  # type: ignore[assignment]
        revocations: RevocationList | None = None,
        proof: ProofChecker | None = None,
        bind: Callable[[MutableMapping[str, Any], ClaimsT], None] | None = None,
        security_scheme: SecurityBase | Literal["discover"] | None = None,
        on_decision: Hooks | None = None,
        now: Callable[[], float] = time.time,
    ) -> ScopeGuard[ClaimsT]:
        """Return a guard by *scope_map* with the verifier for these settings.

        Raises:
            ConfigurationError: as `verifier` and `ScopeGuard` do.
        """
        verifier = self.verifier(
            claims_model=claims_model, revocations=revocations, proof=proof, now=now
        )
        try:
            return ScopeGuard(
                scope_map,
                verifier=verifier,
                bind=bind,
                security_scheme=security_scheme,
                on_decision=on_decision,
                now=now,
                **self._guard_options(),
            )
        except ConfigurationError as error:
            raise ConfigurationError(*self._named(error)) from None

    def _guard_options(self) -> dict[str, Any]:
        """Return the options of a guard that are variables."""
        key = self.subject_key
        return {
            "admin_scope": self.admin_scope,
            "realm": self.realm,
            "challenge_scopes": self.challenge_scopes or (),
            "requested_as": self.requested_as,
            "resource": self.resource,
            "authorization_servers": self.authorization_servers or (),
            "end_at_exp": self.end_at_exp,
            "subject_key": None if key is None else key.get_secret_value(),
            "report_until": self.report_until,
            "report_anonymous": self.report_anonymous or (),
        }

    def _following(self, options: JWTOptions[ClaimsT]) -> JWKSVerifier[ClaimsT]:
        return JWKSVerifier(
            issuer=self.issuer,
            audience=self.audience,
            jwks_uri=self.jwks_uri,
            algorithms=self._algorithms(PUBLISHED_ALGORITHMS),
            allow_http=self.allow_http,
            ca_file=self.ca_file,
            **options,
        )

    def _given(self, key: SecretStr, options: JWTOptions[ClaimsT]) -> JWTVerifier[ClaimsT]:
        if self.issuer is not None:
            _log.info("tokens of %s are verified with the key that is set alone", self.issuer)
        return JWTVerifier(
            keys=[key.get_secret_value()],
            issuer=self.issuer,
            audience=self.audience,
            algorithms=self._algorithms(("RS256",)),
            **options,
        )

    def _algorithms(self, default: tuple[AlgorithmName, ...]) -> tuple[AlgorithmName, ...]:
        # What is none is named by the verifier.
        given = self.algorithms
        return default if given is None else cast("tuple[AlgorithmName, ...]", given)

    def _problems(self) -> Iterator[ConfigurationProblem]:
        """Yield what does not go together."""
        for name, value, is_any in (
            ("issuer", self.issuer, self.any_issuer),
            ("audience", self.audience, self.any_audience),
        ):
            variable, opt_out = PREFIX + name.upper(), f"{PREFIX}ANY_{name.upper()}"
            if value is None and not is_any:
                remedy = f"set it, or {opt_out}=true"
                yield ConfigurationProblem("is not set", remedy, setting=variable)
            if value is not None and is_any:
                yield ConfigurationProblem(f"{variable} and {opt_out} are both set", "keep one")
        if self.issuer is not None and ",http" in self.issuer.replace(" ", ""):
            yield ConfigurationProblem(
                "names several issuers",
                "name one; for several write an IssuersVerifier",
                setting=f"{PREFIX}ISSUER",
            )
        if self._has_no_keys():
            yield ConfigurationProblem(
                "there are no keys",
                f"set {PREFIX}ISSUER, {PREFIX}JWKS_URI or {PREFIX}VERIFICATION_KEY",
            )
        if self._names_file():
            key = variables_of(type(self), "verification_key")
            yield ConfigurationProblem("names a file", "set what is in it", setting=key)
        if self.verification_key is not None and self.jwks_uri is not None:
            text = f"{PREFIX}JWKS_URI and a verification key are both set"
            yield ConfigurationProblem(text, "keep one")

    def _has_no_keys(self) -> bool:
        return self.verification_key is None and self.issuer is None and self.jwks_uri is None

    def _names_file(self) -> bool:
        key = self.verification_key
        return key is not None and names_file(key.get_secret_value())

    def _empty(self) -> dict[str, ConfigurationProblem]:
        """Return what is wrong with the fields that hold an empty text."""
        problems: dict[str, ConfigurationProblem] = {}
        for name in ScopesSettings.model_fields:
            value: SecretStr | tuple[str, ...] | str | float | None = getattr(self, name)
            text = value.get_secret_value() if isinstance(value, SecretStr) else value
            elements = text if isinstance(text, tuple) else (text,)
            blank = [isinstance(each, str) and not each.strip() for each in elements]
            variable = variables_of(type(self), name)
            if len(blank) > 1 and any(blank):
                problems[name] = ConfigurationProblem(
                    "has an empty element", "remove a comma", setting=variable
                )
            # To allow no scope is a limit; no audience and no algorithm are a mistake.
            elif all(blank) and (blank or name != "allowed_scopes"):
                problems[name] = ConfigurationProblem(
                    "is empty", "fill it, or unset it", setting=variable
                )
        return problems

    def _named(self, error: ConfigurationError) -> Iterator[ConfigurationProblem]:
        """Yield what a verifier or a guard says, by the variables that it comes from."""
        told = {*self._empty()}
        told |= {"issuer"} if self._has_no_keys() else set()
        told |= {"verification_key"} if self._names_file() else set()
        variables = {variables_of(type(self), each) for each in told}
        for problem in error.problems:
            named = in_variables(problem, type(self))
            if (named.setting or "").partition("[")[0] not in variables:
                yield named
