"""The security scheme of a guard, which may take its URLs from the metadata of the issuer."""

from collections.abc import Callable

from fastapi.security import OAuth2AuthorizationCodeBearer
from fastapi.security.base import SecurityBase

from fastapi_scopes.core.requested_scopes import RequestedScopes
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.openapi.schemes import BearerScheme, scheme_of
from fastapi_scopes.verifiers.base import DiscoveringVerifier, IssuerEndpoints

__all__ = ["CurrentScheme", "current_scheme"]

CurrentScheme = Callable[[], BearerScheme]
"""Returns the scheme of a guard as it is known now; the same object while that stays so."""


def current_scheme(
    security_scheme: object,
    scope_map: ScopeMap,
    requested: RequestedScopes,
    *,
    owner: type,
    verifier: object,
) -> CurrentScheme:
    """Return what tells the scheme for *security_scheme*, as `scheme_of` takes it, or "discover".

    The latter is the authorization code flow of the issuer, and HTTP bearer until *verifier* knows
    its endpoints.

    Raises:
        ConfigurationError: as `scheme_of` does, or *verifier* reads no metadata.
    """

    def made_of(scheme: object) -> BearerScheme:
        return scheme_of(scheme, scope_map, requested, owner=owner)

    if not isinstance(security_scheme, str) or security_scheme != "discover":
        scheme = made_of(security_scheme)
        return lambda: scheme
    if isinstance(verifier, type) or not isinstance(verifier, DiscoveringVerifier):
        raise ConfigurationError.of(
            f"is 'discover', but a {type(verifier).__name__!r} reads no metadata of one issuer",
            "pass a JWKSVerifier with issuer=, or OAuth2AuthorizationCodeBearer(...) with the URLs "
            "at which people sign in",
        )
    return _DiscoveredScheme(verifier.discover_endpoints(), made_of)


class _DiscoveredScheme:
    def __init__(
        self,
        endpoints: Callable[[], IssuerEndpoints | None],
        made_of: Callable[[object], BearerScheme],
    ) -> None:
        self._endpoints = endpoints
        self._made_of = made_of
        self._shown: IssuerEndpoints | None = None
        self._scheme: BearerScheme = made_of(None)

    def __call__(self) -> BearerScheme:
        endpoints = self._endpoints()
        if endpoints != self._shown:
            self._shown, self._scheme = endpoints, self._made_of(self._flow_at(endpoints))
        return self._scheme

    def _flow_at(self, endpoints: IssuerEndpoints | None) -> SecurityBase | None:
        if endpoints is None:
            return None
        return OAuth2AuthorizationCodeBearer(
            endpoints.authorization_url, endpoints.token_url, scheme_name=self._scheme.name
        )
