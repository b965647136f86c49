"""The issuers whose tokens are taken: exact ones, and families with an issuer for each tenant."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, cast
from urllib.parse import urlsplit

from fastapi_scopes._lines import listed
from fastapi_scopes.errors import Assignment, ConfigurationProblem, TokenError, TokenFault
from fastapi_scopes.verifiers.options import ANY_TENANT, AnyTenant

__all__ = [
    "ExpectedIssuers",
    "is_family",
    "is_of_family",
    "issuer_problems",
    "metadata_issuer_of",
    "require_key_issuer",
]

_TENANT: Final = "{tenantid}"
_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# RFC 9562 5.9: that of no tenant.
_NIL_GUID: Final = "00000000-0000-0000-0000-000000000000"
_MICROSOFT: Final = re.compile(
    r"(?:login\.(?:microsoftonline\.(?:com|us)|partner\.microsoftonline\.cn|microsoft\.com)"
    r"|login\.windows\.net|sts\.windows\.net|login\.chinacloudapi\.cn|[a-z0-9-]+\.ciamlogin\.com)"
)
# What Microsoft has in the place of a tenant where several may sign in.
_SHARED_PLACES: Final = frozenset({"common", "organizations", "consumers"})


@dataclass(frozen=True, slots=True)
class ExpectedIssuers:
    """The issuers of which a token must name one."""

    names: frozenset[str]
    """Issuers, and templates with `{tenantid}` in them, each for a family of issuers."""
    tenants: frozenset[str] | None
    """The tenants of the families, in lower case; None is every tenant."""

    @classmethod
    def of(
        cls, issuer: str | Sequence[str] | None, tenants: Sequence[str] | AnyTenant | None
    ) -> Self | None:
        """Return what these two options say, or None where any issuer will do."""
        if issuer is None:
            return None
        named = None if isinstance(tenants, AnyTenant) else tenants or ()
        return cls(
            frozenset([issuer] if isinstance(issuer, str) else issuer),
            None if named is None else frozenset(each.lower() for each in named),
        )

    def include_issuer_of(self, claims: Mapping[str, object]) -> bool:
        """Tell whether the issuer of *claims* is one of these."""
        return any(
            _is_issuer_of(claims, each) and (not is_family(each) or self._has_tenant_of(claims))
            for each in self.names
        )

    def difference_to(self, issuer: str | None) -> str:
        """Return how *issuer*, which is none of these, differs; it is not quoted."""
        names = sorted(self.names)
        if issuer is None:
            return f"there is no 'iss', expected is {listed(names)}"
        for each in names:
            if each.rstrip("/") == issuer.rstrip("/"):
                return f"it differs from {each!r} by a slash at the end"
            if is_family(each) and is_of_family(issuer, each):
                return f"it is of {each!r}, and 'tid' is another tenant's, or none of tenants="
        return f"it is not {listed(names)}"

    def _has_tenant_of(self, claims: Mapping[str, object]) -> bool:
        return self.tenants is None or str(claims["tid"]).lower() in self.tenants


def metadata_issuer_of(issuer: str) -> str:
    """Return the text in the place of *issuer* under which its metadata is found."""
    return issuer.replace(_TENANT, "common")


def is_family(issuer: str) -> bool:
    """Tell whether *issuer* is a template, with an issuer for each tenant."""
    return _TENANT in issuer


def is_of_family(issuer: str, template: str) -> bool:
    """Tell whether *issuer* is *template*, a family, with a tenant in it."""
    start = template.find(_TENANT)
    tenant = issuer[start : start + len(_NIL_GUID)]
    return _GUID.fullmatch(tenant) is not None and template.replace(_TENANT, tenant) == issuer


def _is_issuer_of(claims: Mapping[str, object], issuer: str) -> bool:
    """Tell whether *issuer* is that of *claims*: the text itself, or a template for their `tid`."""
    if not is_family(issuer):
        return claims.get("iss") == issuer
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or not _GUID.fullmatch(tenant):
        return False
    return claims.get("iss") == issuer.replace(_TENANT, tenant)


def require_key_issuer(claims: Mapping[str, object], issuers: Collection[str] | None) -> None:
    """Check that the key that signed *claims* is one of their issuer; None is any issuer.

    Raises:
        TokenError: the key is published for other issuers (the JWK member ``issuer``).
    """
    if issuers is not None and not any(_is_issuer_of(claims, each) for each in issuers):
        raise TokenError(TokenFault.ISSUER, "its key is published for another issuer")


def issuer_problems(issuers: Sequence[object], tenants: object) -> Iterator[ConfigurationProblem]:
    """Yield what is wrong with *issuers* and their *tenants*."""
    texts = [each for each in issuers if isinstance(each, str)]
    for each in texts:
        if not {"{", "}"}.isdisjoint(each.replace(_TENANT, "")):
            yield ConfigurationProblem(
                f"{each!r} has another placeholder than {_TENANT}",
                f"write {_TENANT} where the tenant stands",
                setting="issuer",
            )
        if _names_no_tenant(each):
            yield ConfigurationProblem(
                f"{each!r} is the issuer of no token: each tenant has its own",
                "write https://login.microsoftonline.com/{tenantid}/v2.0 with tenants=[...], or "
                "the GUID of your tenant in its place",
                setting="issuer",
            )
    yield from _tenant_problems(tenants, has_family=any(map(is_family, texts)))


def _names_no_tenant(issuer: str) -> bool:
    try:
        url = urlsplit(issuer)
        host = url.hostname or ""
    except ValueError:
        return False
    segment = url.path.strip("/").partition("/")[0].lower()
    return segment in _SHARED_PLACES and _MICROSOFT.fullmatch(host) is not None


def _tenant_problems(tenants: object, *, has_family: bool) -> Iterator[ConfigurationProblem]:
    if tenants is None:
        if has_family:
            yield ConfigurationProblem(
                f"has {_TENANT} in it, and tenants is not set",
                Assignment("tenants", [_NIL_GUID], rest="with the GUIDs of yours, or ANY_TENANT"),
                setting="issuer",
            )
        return
    if not has_family:
        yield ConfigurationProblem(
            f"is set, and issuer has no {_TENANT} in it", "leave it out", setting="tenants"
        )
    if tenants is ANY_TENANT:
        return
    if isinstance(tenants, str) or not isinstance(tenants, Sequence) or not tenants:
        yield ConfigurationProblem(
            "is no list of GUIDs, or an empty one",
            Assignment("tenants", [_NIL_GUID], rest="with the GUIDs of yours, or ANY_TENANT"),
            setting="tenants",
        )
        return
    for position, each in enumerate(cast("Sequence[object]", tenants)):
        if not isinstance(each, str) or not _GUID.fullmatch(each):
            yield ConfigurationProblem(
                "is no GUID",
                "write the tenant ID, not its domain; ANY_TENANT stands alone",
                setting=f"tenants[{position}]",
            )
