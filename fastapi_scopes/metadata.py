"""Protected resource metadata (RFC 9728): where tokens for this resource server come from."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

from fastapi import APIRouter
from starlette.responses import Response

from fastapi_scopes.core.requested_scopes import RequestedScopes
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem
from fastapi_scopes.verifiers._http import url_problem

__all__ = ["ProtectedResource", "metadata_router", "parse_resource"]

_WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"

# RFC 3986 2: the characters of URLs. INVARIANT: no quote, backslash, space or control character is
# among them, for a URL stands in a quoted-string (attacks/test_metadata.py).
_PLAIN = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
# Paths that are spelled alike in a URL and in the template of a route.
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~!$&'()+,;=:@-]+)*/?")


@dataclass(frozen=True, slots=True)
class ProtectedResource:
    """The identifier of a resource server, and the authorization servers whose tokens it takes."""

    identifier: str
    """The resource identifier (RFC 9728 1.2), as it was written."""
    authorization_servers: tuple[str, ...]
    """The issuer identifiers of these servers (RFC 8414 2)."""

    @property
    def metadata_path(self) -> str:
        """The path of the metadata: the well-known one, then that of the resource itself."""
        _, path = _split(self.identifier)
        # RFC 9728 3.1: a slash that follows the host and ends the identifier is left out.
        return _WELL_KNOWN + ("" if path == "/" else path)

    @property
    def metadata_url(self) -> str:
        """The URL at which clients find the metadata; it may stand in a quoted-string."""
        origin, _ = _split(self.identifier)
        return origin + self.metadata_path

    def to_json(self, scopes: Sequence[str]) -> bytes:
        """Return the metadata document (RFC 9728 2) of a server with these *scopes*."""
        members: dict[str, object] = {
            "resource": self.identifier,
            "authorization_servers": self.authorization_servers,
        }
        if scopes:
            # RFC 9728 3.2: an empty list is left out.
            members["scopes_supported"] = scopes
        members["bearer_methods_supported"] = ["header"]
        return json.dumps(members, separators=(",", ":")).encode()


def parse_resource(resource: object, authorization_servers: object) -> ProtectedResource | None:
    """Return the resource server that these two options of a guard describe, or None without one.

    Raises:
        ConfigurationError: naming everything that is wrong with the two options.
    """
    problems: list[ConfigurationProblem] = []
    if resource is not None:
        problems.extend(each.of("resource") for each in _resource_problems(resource))
    problems.extend(_server_problems(authorization_servers, has_resource=resource is not None))
    ConfigurationError.raise_for(problems)
    if resource is None:
        return None
    servers = cast("Sequence[str]", authorization_servers)
    return ProtectedResource(cast("str", resource), tuple(dict.fromkeys(servers)))


def metadata_router(
    resource: ProtectedResource,
    scopes: Iterable[str],
    *,
    admin_scope: str | None,
    requested: RequestedScopes,
) -> APIRouter:
    """Return a router with one route: the metadata of *resource*, with the names of *scopes*."""
    # What opens everything is nothing to ask for by default, and the other is no scope of a
    # resource but between a client and its authorization server (OpenID Connect Core 11).
    hidden = {admin_scope, "offline_access"}
    names = requested.names_of(each for each in scopes if each not in hidden)
    listed = [each for each in names if each not in hidden]
    # INVARIANT: the document is made here, once, so that nothing of a request gets into it
    # (attacks/test_metadata.py: test_nothing_of_a_request_is_in_the_metadata).
    document = resource.to_json(listed)
    router = APIRouter()

    @router.api_route(resource.metadata_path, methods=["GET", "HEAD"], include_in_schema=False)
    async def protected_resource_metadata() -> Response:
        return Response(document, media_type="application/json")

    return router


def _split(url: str) -> tuple[str, str]:
    """Return the origin and the path of *url*, as they are written."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}", slash + path


def _resource_problems(resource: object) -> Iterator[ConfigurationProblem]:
    problem = _server_url_problem(resource)
    if problem is not None:
        yield problem
    elif not _PATH.fullmatch(_split(str(resource))[1]):
        yield ConfigurationProblem(
            "has a path that no route can have",
            "write segments of letters, digits and '-._~', none of them empty, '.' or '..'",
        )


def _server_problems(servers: object, *, has_resource: bool) -> Iterator[ConfigurationProblem]:
    if isinstance(servers, str) or not isinstance(servers, Sequence):
        yield ConfigurationProblem(
            "is no list of URLs",
            "write authorization_servers=['https://login.example.com']",
            setting="authorization_servers",
        )
        return
    if has_resource and not servers:
        yield ConfigurationProblem(
            "is empty", "name the issuers whose tokens are taken", setting="authorization_servers"
        )
    if servers and not has_resource:
        yield ConfigurationProblem(
            "is there, and resource is not", "pass both or neither", setting="authorization_servers"
        )
    for position, each in enumerate(cast("Sequence[object]", servers)):
        problem = _server_url_problem(each)
        if problem is not None:
            yield problem.of(f"authorization_servers[{position}]")


def _server_url_problem(url: object) -> ConfigurationProblem | None:
    """Return why *url*, never quoted as it may hold a password, is no URL of a server, or None."""
    if not isinstance(url, str) or not _PLAIN.fullmatch(url):
        return ConfigurationProblem(
            "is no URL of plain ASCII", "write one like 'https://api.example.com'"
        )
    if "?" in url or "#" in url:
        return ConfigurationProblem("has a query or a fragment", "leave it out")
    if "@" in _split(url)[0]:
        return ConfigurationProblem("has credentials in it", "leave them out")
    return url_problem(url, allow_http=True)
