"""The URLs that may be fetched, and the hosts that may be asked without TLS."""

import ipaddress
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Final, cast

import httpx

from fastapi_scopes._lines import one_line
from fastapi_scopes.errors import Assignment, ConfigurationProblem

__all__ = [
    "allow_http_problems",
    "host_problems",
    "is_plain_http",
    "malformed_url_problem",
    "metadata_urls",
    "url_problem",
    "warn_of_hosts",
    "without_query",
]

_log = logging.getLogger("fastapi_scopes")

_URL: Final = "write one like 'https://example.com'"
_NOT_HTTPS: Final = "is not https, which only loopback addresses may do without"
# Names of compose services have underscores.
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")


def url_problem(url: object, *, allow_http: object) -> ConfigurationProblem | None:
    """Return why *url* is no URL, or needs TLS, or None where neither is so.

    *allow_http* is False, True for loopback hosts, or a list of hosts beside these.
    """
    problem = malformed_url_problem(url)
    if problem is None and not _is_allowed(url, allow_http):
        return ConfigurationProblem(_NOT_HTTPS, "write an https URL")
    return problem


def host_problems(
    setting: str, url: object, *, allow_http: object, fetch: object = None
) -> Iterator[ConfigurationProblem]:
    """Yield why *url*, the value of *setting*, may not be asked; with *fetch* it needs no TLS."""
    problem = malformed_url_problem(url)
    if problem is None and fetch is None and not _is_allowed(url, allow_http):
        host = _host_of(url)
        allow = Assignment("allow_http", True, rest="for a loopback address")
        if not _is_loopback(host):
            allow = Assignment(
                "allow_http", [host], lead="write an https URL, or", rest="for that host"
            )
        problem = ConfigurationProblem(_NOT_HTTPS, allow)
    if problem is not None:
        yield problem.of(setting)


def is_plain_http(url: object) -> bool:
    """Tell whether *url* is one that is asked without TLS."""
    return isinstance(url, str) and url[:5].lower() == "http:"


def allow_http_problems(allow_http: object) -> Iterator[ConfigurationProblem]:
    """Yield the problems of *allow_http*, which is a bool or a list of hosts."""
    if isinstance(allow_http, bool):
        return
    if isinstance(allow_http, str | bytes) or not isinstance(allow_http, Sequence):
        yield ConfigurationProblem(
            f"is no bool but a {type(allow_http).__name__!r}, and no list",
            "write allow_http=True for loopback addresses, or name hosts as in ['keycloak']",
            setting="allow_http",
        )
        return
    if not allow_http:
        yield ConfigurationProblem(
            "is an empty list",
            Assignment("allow_http", True, rest="for loopback addresses, or name a host"),
            setting="allow_http",
        )
    for position, each in enumerate(cast("Sequence[object]", allow_http)):
        if not _is_host(each):
            # Not quoted: a URL may hold a password.
            yield ConfigurationProblem(
                "is no host",
                "write its name alone, without scheme, port, path or '*', as in 'keycloak'",
                setting=f"allow_http[{position}]",
            )


def warn_of_hosts(allow_http: bool | Sequence[str]) -> None:
    """Log each host that *allow_http* names."""
    if isinstance(allow_http, bool):
        return
    for host in dict.fromkeys(allow_http):
        _log.warning(
            "allow_http: %r is asked without TLS; whoever is on the way can forge tokens", host
        )


def malformed_url_problem(url: object) -> ConfigurationProblem | None:
    """Return why *url* is no http or https URL without credentials, or None where it is."""
    try:
        parsed = httpx.URL(url if isinstance(url, str) else "")
        host = parsed.host
    except (httpx.InvalidURL, ValueError):
        return ConfigurationProblem("is no URL", _URL)
    if not host or parsed.scheme not in {"http", "https"}:
        return ConfigurationProblem("is no http or https URL", _URL)
    if parsed.userinfo or parsed.fragment:
        return ConfigurationProblem("has credentials or a fragment in it", "leave them out")
    return None


def without_query(url: object) -> str:
    """Return *url* for the log: a query may hold a secret, and the rest be an issuer's text."""
    return one_line(str(url).partition("?")[0])


def _host_of(url: object) -> str:
    return httpx.URL(str(url)).raw_host.decode("ascii")


def _is_allowed(url: object, allow_http: object) -> bool:
    if not is_plain_http(url):
        return True
    if not allow_http:
        return False
    host = _host_of(url)
    if _is_loopback(host):
        return True
    if isinstance(allow_http, str | bytes) or not isinstance(allow_http, Sequence):
        return False
    named = cast("Sequence[object]", allow_http)
    return _spelling_of(host) in {_spelling_of(each) for each in named if isinstance(each, str)}


def _is_host(value: object) -> bool:
    if not isinstance(value, str):
        return False
    return _HOST.fullmatch(value) is not None or _address_of(value) is not None


def _spelling_of(host: str) -> str:
    address = _address_of(host)
    return host.lower() if address is None else str(address)


def _is_loopback(host: str) -> bool:
    address = _address_of(host)
    return host == "localhost" if address is None else address.is_loopback


def _address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def metadata_urls(issuer: str) -> tuple[str, str]:
    """Return the URLs at which the metadata of *issuer* may be, in the order of asking.

    OpenID Connect Discovery 4 appends to the path of the issuer, RFC 8414 3.1 goes before it.
    """
    url = httpx.URL(issuer)
    # The path as it is sent: decoded, an encoded slash would be a slash.
    path = url.raw_path.decode("ascii").rstrip("/")
    origin = str(url.copy_with(raw_path=b"/")).rstrip("/")
    return (
        f"{origin}{path}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
    )
