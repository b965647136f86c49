"""The fields of settings, and where they come from."""

import json
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from fastapi_scopes.core.credentials import MAX_TOKEN_CHARS
from fastapi_scopes.errors import ConfigurationError, collecting
from fastapi_scopes.settings.sources import misspelt_in_dotenv, misspelt_in_secrets
from fastapi_scopes.settings.variables import PREFIX, misspelt_in, problem_of, unknown_variable
from fastapi_scopes.verifiers.options import ANY_TENANT, AnyTenant, TokenKind

__all__ = ["SettingsFields"]

_FLAGS: Final = frozenset({"0", "1", "off", "on", "f", "t", "false", "true", "n", "y", "no", "yes"})
_AGENTOS_KEY: Final = "JWT_VERIFICATION_KEY"


def _split(value: object) -> object:
    return [each.strip() for each in value.split(",")] if isinstance(value, str) else value


def _parse_json(value: object) -> object:
    # The message of a JSONDecodeError has places in the text, and nothing of it.
    return json.loads(value) if isinstance(value, str) else value


def _parse_scopes_claim(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith(("{", "[")):
        return _parse_json(value)
    return _split(value) if "," in value else value


def _parse_allow_http(value: object) -> object:
    # The words of pydantic for a bool; any other text names hosts.
    is_flag = isinstance(value, str) and value.strip().lower() in _FLAGS
    return value if is_flag else _split(value)


def _parse_tenants(value: object) -> object:
    return ANY_TENANT if value == ANY_TENANT.value else _split(value)


_Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
_ScopesClaim = Annotated[
    str | tuple[str, ...] | dict[str, str] | Callable[[dict[str, Any]], Iterable[str]],
    NoDecode,
    BeforeValidator(_parse_scopes_claim),
]
_Tenants = Annotated[tuple[str, ...] | AnyTenant, NoDecode, BeforeValidator(_parse_tenants)]
_Hosts = Annotated[bool | tuple[str, ...], NoDecode, BeforeValidator(_parse_allow_http)]
_JSONObject = Annotated[dict[str, object], NoDecode, BeforeValidator(_parse_json)]


class SettingsFields(BaseSettings):
    """One field for each variable.

    Raises:
        ConfigurationError: a variable or keyword is malformed, or is none of these.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX,
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
        default=None, validation_alias=AliasChoices(f"{PREFIX}VERIFICATION_KEY", _AGENTOS_KEY)
    )
    algorithms: _Texts | None = None
    """Default: RS256 for a verification key, as AgentOS has it; else that of `JWKSVerifier`."""
    scopes_claim: _ScopesClaim = "scope"
    """A claim, several with commas, or a JSON object of claims and prefixes."""
    token_kind: TokenKind = "access"  # noqa: S105 - no password
    """access, id or any."""
    tenants: _Tenants | None = None
    """GUIDs, or the word ANY_TENANT."""
    authorized_parties: _Texts | None = None
    require_claims: _JSONObject | None = None
    """A JSON object."""
    leeway: float = 0
    clock_skew: float = 10
    max_token_chars: int = MAX_TOKEN_CHARS
    strict: bool = False
    allowed_scopes: _Texts | None = None
    cache_ttl: float = 60
    allow_http: _Hosts = False
    """true for loopback addresses, or hosts beside these, with commas, that need no TLS."""
    ca_file: Path | None = None
    admin_scope: str | None = None
    realm: str = "api"
    challenge_scopes: _Texts | None = None
    requested_as: str | None = None
    resource: str | None = None
    authorization_servers: _Texts | None = None
    end_at_exp: bool = False
    subject_key: SecretStr | None = None
    report_until: datetime | None = None
    """A moment with a time zone, as in ISO 8601."""
    report_anonymous: _Texts | None = None

    def __init__(self, **values: object) -> None:
        settings = type(self)
        problems = [unknown_variable(settings, each) for each in misspelt_in(os.environ, settings)]
        try:
            with collecting(problems):
                super().__init__(**values)  # type: ignore[arg-type]
        except ValidationError as error:
            problems.extend(problem_of(settings, each, passed=values) for each in error.errors())
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
            *misspelt_in_dotenv(settings_cls, dotenv_settings),
            *misspelt_in_secrets(settings_cls, file_secret_settings),
        ]
        if settings_cls.model_config.get("extra") != "forbid":
            ConfigurationError.raise_for(unknown_variable(settings_cls, each) for each in names)
        if isinstance(dotenv_settings, DotEnvSettingsSource):
            # Its own call would add the variables of others, as what they are called.
            own = EnvSettingsSource.__call__(dotenv_settings)
            dotenv_settings = InitSettingsSource(settings_cls, own)
        misspelt = InitSettingsSource(settings_cls, dict.fromkeys(names))
        return init_settings, env_settings, dotenv_settings, file_secret_settings, misspelt
