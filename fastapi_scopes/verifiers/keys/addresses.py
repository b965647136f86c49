"""Texts that say where a key is, and are neither key nor secret: file names and URLs."""

import os.path
import re

from fastapi_scopes.errors import Assignment
from fastapi_scopes.verifiers.keys.material import KeyRefusedError

__all__ = ["names_file", "require_no_address", "require_no_url"]

# What keys are kept in; no base64, hexadecimal or PEM ends so.
_FILE_NAME = re.compile(rb"[^\s]*\.(?:pem|key|pub|crt|cer|der|jwks?|json|txt)", re.IGNORECASE)

_SCHEME = re.compile(rb"\s*[a-z][a-z0-9+.-]{0,31}://", re.IGNORECASE)
# A host with a dot or a port, then a path: no base64 has a dot or a colon, but where a framework
# writes `base64:` before it.
_HOST_AND_PATH = re.compile(
    rb"\s*(?!base64:)(?://)?(?:(?:[a-z0-9-]{1,63}\.){1,8}[a-z0-9-]{1,63}(?::[0-9]{1,5})?"
    rb"|[a-z0-9.-]{1,253}:[0-9]{1,5}|\[[0-9a-f:.]{2,45}\](?::[0-9]{1,5})?)"
    rb"/[\w.~%/?=&:@+,;#-]*\s*",
    re.IGNORECASE,
)
_WELL_KNOWN = re.compile(rb"\s*[!-~]*\.well-known/[!-~]*\s*")  # RFC 8615 3


def require_no_address(source: str | bytes) -> None:
    """Refuse *source* where it is the name of a file or a URL, which anybody can guess.

    Raises:
        KeyRefusedError: it is one of these.
    """
    if names_file(source):
        kind = type(source).__name__
        raise KeyRefusedError(f"is a {kind} that names a file", "pass Path(...) from pathlib")
    require_no_url(_octets(source))


def require_no_url(data: bytes) -> None:
    """Refuse *data* where it is a URL, with or without a scheme.

    Raises:
        KeyRefusedError: it is one.
    """
    if (
        _WELL_KNOWN.fullmatch(data) is not None
        or _SCHEME.match(data) is not None
        or _HOST_AND_PATH.fullmatch(data) is not None
    ):
        raise KeyRefusedError("is a URL", Assignment("jwks_uri", lead="use a JWKSVerifier with"))


def names_file(text: str | bytes) -> bool:
    """Tell whether *text* is the name of a file, there or not, and so neither secret nor key."""
    # Path.is_file raises where a name is too long.
    return os.path.isfile(text) or _FILE_NAME.fullmatch(_octets(text)) is not None  # noqa: PTH113


def _octets(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
