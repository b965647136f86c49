"""Where an issuer gives tokens to people, as its metadata says."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final, TypeGuard

from fastapi_scopes.verifiers._http import FetchError, url_problem
from fastapi_scopes.verifiers.base import IssuerEndpoints

__all__ = ["DiscoveredEndpoints"]

_log = logging.getLogger("fastapi_scopes")

_MAX_CHARS: Final = 2048
# RFC 3986 2: these are in no URL; a page that shows one could take them for markup.
_NO_URL: Final = frozenset(' "<>\\^`{|}')


class DiscoveredEndpoints:
    """The endpoints in the metadata of *issuer* that was read last; None where it has none."""

    def __init__(self, issuer: str, *, allow_http: bool | Sequence[str]) -> None:
        self._issuer = issuer
        self._allow_http = allow_http
        self.found: IssuerEndpoints | None = None
        self.is_wanted: bool = False
        """Whether somebody shows them."""
        self._said: str | None = None

    def note(self, metadata: Mapping[str, object]) -> None:
        """Keep what *metadata* says of them (RFC 8414 2)."""
        authorization = metadata.get("authorization_endpoint")
        token = metadata.get("token_endpoint")
        if self._may_be_shown(authorization) and self._may_be_shown(token):
            self.found, self._said = IssuerEndpoints(authorization, token), None
            return
        self.found = None
        self.miss(
            FetchError("its metadata names no authorization and token endpoint that may be shown")
        )

    def miss(self, error: FetchError) -> None:
        """Log the reason why there are none, where they are wanted, and once in a row."""
        said = str(error.or_else("pass security_scheme=OAuth2AuthorizationCodeBearer(...)"))
        if self.is_wanted and said != self._said:
            self._said = said
            _log.error("the OpenAPI document shows no sign-in at %s: %s", self._issuer, said)

    def _may_be_shown(self, url: object) -> TypeGuard[str]:
        return (
            isinstance(url, str)
            and len(url) <= _MAX_CHARS
            and url.isascii()
            and _NO_URL.isdisjoint(url)
            and url_problem(url, allow_http=self._allow_http) is None
        )
