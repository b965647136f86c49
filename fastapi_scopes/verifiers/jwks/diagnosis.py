"""What is at an address in place of a JWK set, and the address to write instead."""

from collections.abc import Mapping
from typing import Final

from fastapi_scopes._lines import quoted
from fastapi_scopes.verifiers._encodings import parse_json_object
from fastapi_scopes.verifiers._http import without_query

__all__ = ["is_page", "mistake_in"]

_BLANKS: Final = b"\xef\xbb\xbf \t\r\n"
_PEM: Final = "-----BEGIN "

_GOOGLE: Final = "https://www.googleapis.com/"
_ACCOUNTS: Final = f"{_GOOGLE}service_accounts/v1/jwk/"
# Google publishes the same keys at both, as certificates on the left, as a JWK set on the right.
_JWK_SETS: Final[Mapping[str, str]] = {
    f"{_GOOGLE}robot/v1/metadata/x509/": _ACCOUNTS,
    f"{_GOOGLE}service_accounts/v1/metadata/x509/": _ACCOUNTS,
    f"{_GOOGLE}oauth2/v1/certs": f"{_GOOGLE}oauth2/v3/certs",
    f"{_GOOGLE}identitytoolkit/v3/relyingparty/publicKeys": (
        "https://identitytoolkit.googleapis.com/v1/sessionCookiePublicKeys"
    ),
    "https://www.gstatic.com/iap/verify/public_key": (
        "https://www.gstatic.com/iap/verify/public_key-jwk"
    ),
}

# By a member that such a document has.
_DOCUMENTS: Final[Mapping[str, tuple[str, str]]] = {
    "jwks_uri": (
        "is the metadata of an issuer, no JWK set",
        "write in jwks_uri= what it names there",
    ),
    "kty": ("is one JWK, no JWK set", "write the address of the set in jwks_uri="),
}


def is_page(body: bytes) -> bool:
    """Tell whether *body* is a page in HTML, or XML."""
    return body.lstrip(_BLANKS).startswith(b"<")


def mistake_in(body: bytes, url: str) -> tuple[str, str] | None:
    """Return what *body* is in place of a JWK set, and the way out; None where nobody knows.

    *url* is where it was found.
    """
    if is_page(body):
        return "is an HTML page, no JWK set", ""
    try:
        document = parse_json_object(body)
    except ValueError:
        return None
    if "keys" in document:
        return None
    if any(isinstance(each, str) and each.startswith(_PEM) for each in document.values()):
        return "is a dict of PEM texts (X.509), no JWK set", _jwk_set_for(without_query(url))
    return next((said for member, said in _DOCUMENTS.items() if member in document), None)


def _jwk_set_for(url: str) -> str:
    found = (
        place + url.removeprefix(each) for each, place in _JWK_SETS.items() if url.startswith(each)
    )
    place = next(found, None)
    if place is None:
        return "write the address of the issuer's JWK set in jwks_uri="
    return f"write jwks_uri={quoted(place)}"
