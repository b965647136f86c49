"""A verifier and a guard out of environment variables; needs the extra ``settings``."""

import logging
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from fastapi.security.base import SecurityBase
from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.requirements import RequirementLike
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationError, collecting
from fastapi_scopes.guard import ScopeGuard
from fastapi_scopes.verifiers.base import ProofChecker, RevocationList
from fastapi_scopes.verifiers.jwks import JWKSVerifier
from fastapi_scopes.verifiers.jwt import JWTVerifier

try:
    from pydantic_settings import (
        BaseSettings,
        DotEnvSettingsSource,
        EnvSettingsSource,
        InitSettingsSource,
        NoDecode,
        PydanticBaseSettingsSource,
        SecretsSettingsSource,
        SettingsConfigDict,
    )
except ImportError:
    raise ImportError(
        "pydantic-settings is not installed; pip install 'fastapi-scopes[settings]'"
    ) from None

__all__ = ["ScopesSettings"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)

_log = logging.getLogger("fastapi_scopes")

_PREFIX: Final = "FASTAPI_SCOPES_"
_AGENTOS_KEY: Final = "JWT_VERIFICATION_KEY"
_DEFAULT_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")

_EMPTY: Final = "is empty; fill it, or unset it"

_SAID_HERE: Final[Mapping[str, str]] = {
    "keys[0]": "verification_key",
    "issuer is None and so is jwks_uri; name one of the two, better both": (
        f"there are no keys; set {_PREFIX}ISSUER, {_PREFIX}JWKS_URI or {_PREFIX}VERIFICATION_KEY"
    ),
    "with allow_http=True": f"with {_PREFIX}ALLOW_HTTP=true",
    "pass jwks_uri": f"set {_PREFIX}JWKS_URI",
    "make a verifier for each": "keep one kind",
    "use a JWTVerifier for it": f"set {_PREFIX}VERIFICATION_KEY",
    "write leeway=": f"write {_PREFIX}LEEWAY=",
    "write cache_ttl=": f"write {_PREFIX}CACHE_TTL=",
    "in the allowed_scopes= of each verifier whose issuer may grant it": (
        f"in {_PREFIX}ALLOWED_SCOPES"
    ),
    "is no key that can be read; pass a public key as PEM, OpenSSH, DER, X.509 or JWK dict,"
    " or name an HS* algorithm if": (
        f"is no PEM that can be read; set {_PREFIX}ALGORITHMS=HS256 if"
    ),
    ", which fits none of": f"; set {_PREFIX}ALGORITHMS to one that it fits, which is none of",
    "name its own algorithm, or pass a JWK as a dict": f"set its own in {_PREFIX}ALGORITHMS",
    "is a str that names an existing file; pass a pathlib.Path": "names a file; set what is in it",
    "is a URL; fetch the JWK set and pass it as a dict or a Path": (
        f"is a URL; set {_PREFIX}JWKS_URI to it"
    ),
    "pass each as a key of its own": "keep one",
    "with secrets.token_bytes": "with secrets.token_urlsafe(64)",
}
"""What verifier and guard say of their arguments, and how it reads where these are variables."""


def _split(value: object) -> object:
    return [each.strip() for each in value.split(",")] if isinstance(value, str) else value


_Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class ScopesSettings(BaseSettings):
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
    challenge_scopes: _Texts | None = None
    resource: str | None = None
    authorization_servers: _Texts | None = None
    end_at_exp: bool = False

    def __init__(self, **values: object) -> None:
        settings = type(self)
        problems = [_unknown_variable(settings, each) for each in _misspelt(settings, os.environ)]
        try:
            with collecting(problems):
                super().__init__(**values)  # type: ignore[arg-type]
        except ValidationError as error:
            problems.extend(_problem_of(settings, each, passed=values) for each in error.errors())
        # The environment and a file may misspell the same.
        ConfigurationError.raise_for(dict.fromkeys(problems))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources; what a file misspells is among them by its name, to be refused.

        Raises:
            ConfigurationError: a file misspells a variable, and a subclass permits extra ones.
        """
        names = [
            *_misspelt_in_dotenv(settings_cls, dotenv_settings),
            *_misspelt(settings_cls, _secret_files(file_secret_settings)),
        ]
        if settings_cls.model_config.get("extra") != "forbid":
            ConfigurationError.raise_for(_unknown_variable(settings_cls, each) for each in names)
        if isinstance(dotenv_settings, DotEnvSettingsSource):
            # Its own call would add the variables of others, as what they are called.
            own = EnvSettingsSource.__call__(dotenv_settings)
            dotenv_settings = InitSettingsSource(settings_cls, own)
        misspelt = InitSettingsSource(settings_cls, dict.fromkeys(names))
        return init_settings, env_settings, dotenv_settings, file_secret_settings, misspelt

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
        problems = [*self._problems()]
        try:
            plugs = (claims_model, revocations, proof, now)
            key = self.verification_key
            verifier = self._following(*plugs) if key is None else self._given(key, *plugs)
        except ConfigurationError as error:
            problems.extend(self._said_here(error.problems))
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
        security_scheme: SecurityBase | None = None,
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
                admin_scope=self.admin_scope,
                realm=self.realm,
                bind=bind,
                challenge_scopes=self.challenge_scopes or (),
                resource=self.resource,
                authorization_servers=self.authorization_servers or (),
                security_scheme=security_scheme,
                end_at_exp=self.end_at_exp,
                now=now,
            )
        except ConfigurationError as error:
            raise ConfigurationError(*self._said_here(error.problems)) from None

    def _following(
        self,
        claims_model: type[ClaimsT],
        revocations: RevocationList | None,
        proof: ProofChecker | None,
        now: Callable[[], float],
    ) -> JWKSVerifier[ClaimsT]:
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

    def _given(
        self,
        key: SecretStr,
        claims_model: type[ClaimsT],
        revocations: RevocationList | None,
        proof: ProofChecker | None,
        now: Callable[[], float],
    ) -> JWTVerifier[ClaimsT]:
        if self.issuer is not None:
            _log.info("tokens of %s are verified with the key that is set alone", self.issuer)
        return JWTVerifier(
            keys=[key.get_secret_value()],
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
        for name, problem in self._empty().items():
            yield f"{_variable(type(self), name)} {problem}"

    def _empty(self) -> dict[str, str]:
        """Return what is wrong with the fields that hold an empty text."""
        problems: dict[str, str] = {}
        for name in ScopesSettings.model_fields:
            value: SecretStr | tuple[str, ...] | str | float | None = getattr(self, name)
            text = value.get_secret_value() if isinstance(value, SecretStr) else value
            elements = text if isinstance(text, tuple) else (text,)
            blank = [isinstance(each, str) and not each.strip() for each in elements]
            if any(blank):
                is_all = len(blank) == 1
                problems[name] = _EMPTY if is_all else "has an empty element; remove a comma"
            elif not blank and name != "allowed_scopes":
                # To allow no scope is a limit; no audience and no algorithm are a mistake.
                problems[name] = _EMPTY
        return problems

    def _said_here(self, problems: Iterable[str]) -> Iterator[str]:
        """Yield *problems* of a verifier or a guard in terms of the variables they come from."""
        empty = self._empty()
        for problem in problems:
            said = problem
            for theirs, ours in _SAID_HERE.items():
                said = said.replace(theirs, ours)
            # A problem begins with the argument that it is about.
            name = re.split(r"\W", said, maxsplit=1)[0]
            if name in empty:
                continue
            is_ours = name in ScopesSettings.model_fields
            yield _variable(type(self), name) + said[len(name) :] if is_ours else said


def _problem_of(
    settings: type[BaseSettings], error: ErrorDetails, *, passed: Collection[str]
) -> str:
    # Without the context and the input: they would quote what the variables hold.
    text = error["msg"][:1].lower() + error["msg"][1:]
    if not error["loc"]:
        return text
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return _unknown_name(settings, name, is_keyword=name in passed)
    return f"{name if name in passed else _variable(settings, name)}: {text}"


def _variables_of(settings: type[BaseSettings], name: str) -> tuple[str, ...]:
    alias = settings.model_fields[name].validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    aliases = tuple(each for each in choices if isinstance(each, str))
    return aliases or (_PREFIX + name.upper(),)


def _variable(settings: type[BaseSettings], name: str) -> str:
    # pydantic names a field with aliases by one of these.
    is_field = name in settings.model_fields
    return " or ".join(_variables_of(settings, name)) if is_field else name


def _misspelt(settings: type[BaseSettings], names: Iterable[str]) -> list[str]:
    """Return those of *names* that have our prefix and are no setting."""
    fields = settings.model_fields
    known = {each.upper() for name in fields for each in _variables_of(settings, name)}
    # A limit that is misspelt would be no limit.
    return [
        each for each in names if each.upper().startswith(_PREFIX) and each.upper() not in known
    ]


def _misspelt_in_dotenv(
    settings: type[BaseSettings], source: PydanticBaseSettingsSource
) -> Iterator[str]:
    if not isinstance(source, DotEnvSettingsSource):
        return
    misspelt = _misspelt(settings, source.env_vars)
    if not misspelt:
        return
    # The source has all names in lower case; they are named as they stand in the file.
    written = DotEnvSettingsSource(
        settings,
        env_file=source.env_file,
        env_file_encoding=source.env_file_encoding,
        case_sensitive=True,
    )
    spelling = {each.lower(): each for each in written.env_vars}
    for each in misspelt:
        yield spelling.get(each.lower(), each.upper())


def _secret_files(source: PydanticBaseSettingsSource) -> Iterator[str]:
    if not isinstance(source, SecretsSettingsSource) or source.secrets_dir is None:
        return
    given = source.secrets_dir
    for folder in [given] if isinstance(given, str | os.PathLike) else given:
        yield from (each.name for each in Path(folder).expanduser().glob("*"))


def _unknown_variable(settings: type[BaseSettings], variable: str) -> str:
    nearest = _nearest(settings, variable[len(_PREFIX) :])
    named = nearest and " or ".join(_variables_of(settings, nearest))
    return f"{variable} is no setting; {_way_out(named)}"


def _unknown_name(settings: type[BaseSettings], name: str, *, is_keyword: bool) -> str:
    if name.upper().startswith(_PREFIX):
        return _unknown_variable(settings, name)
    sign = "=" if is_keyword else ""
    nearest = _nearest(settings, name)
    return f"{name}{sign} is no setting; {_way_out(nearest and nearest + sign)}"


def _nearest(settings: type[BaseSettings], name: str) -> str | None:
    return next(iter(get_close_matches(name.lower(), settings.model_fields, n=1)), None)


def _way_out(meant: str | None) -> str:
    return "remove it" if meant is None else f"did you mean {meant}"
