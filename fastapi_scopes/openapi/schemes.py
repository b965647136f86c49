"""Security schemes of OpenAPI: the scheme of a guard, and those that it replaces."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi.openapi.models import HTTPBase, HTTPBearer, OAuth2, OpenIdConnect
from fastapi.openapi.models import SecurityBase as SecurityBaseModel
from fastapi.security.base import SecurityBase

from fastapi_scopes.core.requested_scopes import RequestedScopes
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.openapi.values import deep_copy, is_dict

__all__ = ["BearerScheme", "scheme_of", "uses_authorization_header"]

# OpenAPI 3.1 4.8.7.1: the names of components.
_COMPONENT: Final = re.compile(r"[a-zA-Z0-9._-]+")
_FLOWS: Final = ("implicit", "password", "clientCredentials", "authorizationCode")
_WAY_OUT: Final = (
    "pass HTTPBearer(), OAuth2AuthorizationCodeBearer(...), OAuth2(flows=...) or "
    "OpenIdConnect(...) of fastapi.security, or 'discover'"
)


@dataclass(frozen=True, slots=True)
class BearerScheme:
    """The OpenAPI security scheme of a guard: how callers get a bearer token."""

    name: str
    model: SecurityBaseModel
    """The scheme as FastAPI's model of it."""
    native: Mapping[str, Any] = field(repr=False)
    """The scheme as JSON, as it stands in a document."""
    requested: RequestedScopes = field(repr=False)
    scopes: tuple[str, ...]
    """The scopes of the map, as clients ask for them."""
    descriptions: Mapping[str, str]
    """Their descriptions, by these names, and those of other scopes."""

    @property
    def is_http(self) -> bool:
        """True for HTTP bearer, which has no scopes in OpenAPI; ``x-scopes`` shows them."""
        return isinstance(self.model, HTTPBase)

    def is_written_as(self, definition: object) -> bool:
        """Tell whether *definition*, as it stands in a document, is this scheme, scopes aside."""
        return is_dict(definition) and _without_scopes(definition) == _without_scopes(self.native)

    def definition(self, more: Iterable[str]) -> dict[str, Any]:
        """Return the scheme as JSON, with the scopes of the map and *more* of routes."""
        definition: dict[str, Any] = deep_copy(self.native)
        scopes = sorted({*self.scopes, *more})
        texts = {each: self.descriptions.get(each, "") for each in scopes}
        if isinstance(self.model, OAuth2):
            for flow in _flows_in(definition):
                # What the developer wrote there wins.
                flow["scopes"] = {**texts, **flow.get("scopes", {})}
        elif texts:
            definition["x-scopes"] = texts
        return definition


def scheme_of(
    security_scheme: object, scope_map: ScopeMap, requested: RequestedScopes, *, owner: type
) -> BearerScheme:
    """Return the scheme for *security_scheme*, an object of `fastapi.security`.

    None is HTTP bearer, named after the class *owner*.

    Raises:
        ConfigurationError: *security_scheme* carries no bearer token in the Authorization
            header, or its name is none that OpenAPI allows.
    """
    if security_scheme is None:
        # The name of a class may have letters that OpenAPI does not allow in names of components.
        is_usable = _COMPONENT.fullmatch(owner.__name__)
        bearer = HTTPBearer(bearerFormat="JWT")
        name = owner.__name__ if is_usable else "ScopeGuard"
        return _scheme(bearer, name, scope_map, requested)
    if isinstance(security_scheme, type):
        raise ConfigurationError.of(
            f"is the class {security_scheme.__name__!r}", "pass an instance of it"
        )
    model: object = getattr(security_scheme, "model", None)
    lacking, remedy = _lacking_in(model)
    if lacking:
        kind = type(security_scheme).__name__
        raise ConfigurationError.of(f"is a {kind!r} without {lacking}", remedy)
    if not isinstance(security_scheme, SecurityBase) or not _carries_bearer(model):
        raise ConfigurationError.of(
            f"is a {type(security_scheme).__name__!r}, which carries no bearer token in the "
            "Authorization header",
            _WAY_OUT,
        )
    given: object = getattr(security_scheme, "scheme_name", None)
    if not isinstance(given, str) or not _COMPONENT.fullmatch(given):
        raise ConfigurationError.of(
            f"is named {given!r}",
            "use letters, digits, '.', '-' and '_' alone in scheme_name=",
        )
    return _scheme(security_scheme.model, given, scope_map, requested)


def _lacking_in(model: object) -> tuple[str, str]:
    """Return the part that *model* lacks to say where tokens come from, and the way out."""
    if isinstance(model, OAuth2) and not any(getattr(model.flows, each) for each in _FLOWS):
        return "a flow", "pass flows={'authorizationCode': {...}}, or another of the four"
    if isinstance(model, OpenIdConnect) and not model.openIdConnectUrl:
        return "a URL", "pass openIdConnectUrl="
    return "", ""


def _carries_bearer(model: object) -> bool:
    is_bearer = isinstance(model, HTTPBase) and model.scheme.lower() == "bearer"
    return is_bearer or isinstance(model, OAuth2 | OpenIdConnect)


def _scheme(
    model: SecurityBaseModel, name: str, scope_map: ScopeMap, requested: RequestedScopes
) -> BearerScheme:
    scopes = requested.names_of(scope_map.scopes)
    named = [(requested.name_of(each), text) for each, text in scope_map.descriptions.items()]
    descriptions = {each: text for each, text in named if each is not None}
    described = model.model_copy(deep=True)
    if isinstance(described, OAuth2):
        texts = {each: descriptions.get(each, "") for each in scopes}
        for each in _FLOWS:
            flow = getattr(described.flows, each)
            if flow is not None:
                flow.scopes = {**texts, **flow.scopes}
    try:
        native = described.model_dump(mode="json", by_alias=True, exclude_none=True)
    except ValueError as error:
        # The developer added members to FastAPI's model that are no JSON.
        raise ConfigurationError.of(
            f"cannot be written as JSON: {type(error).__name__}",
            "take out of it what is no JSON",
        ) from None
    return BearerScheme(name, described, native, requested, scopes, descriptions)


def _flows_in(definition: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    flows = definition.get("flows")
    if is_dict(flows):
        yield from (flows[each] for each in _FLOWS if is_dict(flows.get(each)))


def _without_scopes(definition: Mapping[str, Any]) -> dict[str, Any]:
    bare: dict[str, Any] = deep_copy(definition)
    bare.pop("x-scopes", None)
    for flow in _flows_in(bare):
        flow.pop("scopes", None)
    return bare


def uses_authorization_header(definition: object) -> bool:
    """Tell whether the scheme *definition* puts its credential into the Authorization header."""
    if not is_dict(definition):
        return False
    kind = definition.get("type")
    if kind == "apiKey":
        name = str(definition.get("name", "")).lower()
        return definition.get("in") == "header" and name == "authorization"
    return kind in {"http", "oauth2", "openIdConnect"}
