"""Compact JWS (RFC 7515 7.1): parsing, the checks of the header, and the signature."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from fastapi_scopes._lines import listed
from fastapi_scopes.core.credentials import MAX_TOKEN_CHARS
from fastapi_scopes.errors import ConfigurationError, TokenError, TokenFault
from fastapi_scopes.verifiers._encodings import decode_base64url, parse_json_object
from fastapi_scopes.verifiers._jose import ALGORITHMS, BoundKey, is_signed_with
from fastapi_scopes.verifiers.keys.jwk import MAX_KID_CHARS
from fastapi_scopes.verifiers.keys.ring import VerificationKeys, read_keys
from fastapi_scopes.verifiers.keys.sources import KeySource
from fastapi_scopes.verifiers.options import AlgorithmName

__all__ = [
    "MAX_HEADER_BYTES",
    "UnverifiedJWS",
    "VerifiedJWS",
    "parse_compact_jws",
    "signing_key_of",
    "unverified_algorithm_of",
    "unverified_issuer_of",
    "verify_compact_jws",
]

MAX_HEADER_BYTES = 2 * 1024
"""The longest decoded header that is parsed."""

# RFC 7516 7.1.
_JWE_SEGMENTS = 5

# RFC 7515 4.1.11: an extension that is not understood refuses the token, and none is. RFC 7797
# has b64 without crit in the wild, RFC 7516 has enc and zip: those are JWE.
_REFUSED_MEMBERS = frozenset({"b64", "crit", "enc", "zip"})


@dataclass(frozen=True, slots=True)
class VerifiedJWS:
    """The header and payload of a JWS with a verified signature; the payload may be any bytes."""

    header: Mapping[str, object]
    payload: bytes = field(repr=False)


@dataclass(slots=True)
class UnverifiedJWS:
    """A well-formed JWS whose signature is not verified; nothing in it may be believed.

    Nobody changes one; it is not frozen, because a frozen one takes longer to make.
    """

    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    header: Mapping[str, object] = field(repr=False)
    payload: bytes = field(repr=False)
    algorithm: str
    kid: str | None = field(repr=False)


def verify_compact_jws(
    token: str, *, keys: Sequence[KeySource], algorithms: Sequence[AlgorithmName]
) -> VerifiedJWS:
    """Return the header and the payload bytes of *token*, its signature verified.

    *keys* and *algorithms* are those of `JWTVerifier`. Neither the payload nor
    `typ` is checked: both are for the application (RFC 7515 4.1.9).

    Raises:
        ConfigurationError: *keys* or *algorithms* are unfit.
        TokenError: *token* is malformed, or not signed by one of *keys*.
    """
    verification_keys, problems = read_keys(keys, algorithms)
    ConfigurationError.raise_for(problems)
    unverified = parse_compact_jws(token, verification_keys.algorithms)
    signing_key_of(unverified, verification_keys)
    return VerifiedJWS(MappingProxyType(dict(unverified.header)), unverified.payload)


def parse_compact_jws(
    token: object, algorithms: frozenset[str], *, max_chars: int = MAX_TOKEN_CHARS
) -> UnverifiedJWS:
    """Return *token* taken apart, its algorithm one of *algorithms*, nothing verified yet.

    Raises:
        TokenError: it is too long, no compact JWS, or its header is refused.
    """
    if not isinstance(token, str):
        raise TokenError(TokenFault.MALFORMED, "it is no text")
    header_segment, payload_segment, signature_segment = _segments_of(token, max_chars)
    header = _header_of(_decoded(header_segment))
    # RFC 7515 5.2: every segment is base64url, the payload's may be empty.
    signature = _decoded(signature_segment)
    if not signature:
        raise TokenError(TokenFault.MALFORMED, "it is not signed")
    payload = _decoded(payload_segment)
    algorithm = _algorithm_of(header)
    if algorithm not in algorithms:
        # What is no name of ours is not quoted.
        own = repr(algorithm) if algorithm in ALGORITHMS else "it"
        raise TokenError(TokenFault.ALGORITHM, f"{own} is not {listed(sorted(algorithms))}")
    # RFC 7515 5.1: these segments were read, so they are ASCII.
    signing_input = f"{header_segment}.{payload_segment}".encode("ascii")
    return UnverifiedJWS(signing_input, signature, header, payload, algorithm, _kid_of(header))


def unverified_issuer_of(token: object, *, max_chars: int = MAX_TOKEN_CHARS) -> tuple[str, str]:
    """Return the unverified `iss` of *token*, and its first segment, which is not read yet.

    They only choose the verifier that then checks the token.

    Raises:
        TokenError: it is no compact JWS, or names no issuer.
    """
    if not isinstance(token, str):
        raise TokenError(TokenFault.MALFORMED, "it is no text")
    header_segment, payload_segment, _ = _segments_of(token, max_chars)
    try:
        issuer = parse_json_object(_decoded(payload_segment)).get("iss")
    except ValueError:
        raise TokenError(TokenFault.PAYLOAD, "it is no strict JSON object") from None
    if not isinstance(issuer, str):
        raise TokenError(TokenFault.ISSUER, "there is no 'iss'")
    return issuer, header_segment


def unverified_algorithm_of(header_segment: str) -> str:
    """Return the unverified `alg` of a token, only to choose the verifier that then checks it.

    Raises:
        TokenError: the header is refused, or names no algorithm.
    """
    return _algorithm_of(_header_of(_decoded(header_segment)))


def signing_key_of(unverified: UnverifiedJWS, keys: VerificationKeys) -> BoundKey:
    """Return the one of *keys* that has signed *unverified*, whose payload is verified then.

    Raises:
        TokenError: no key fits the token, or the signature is wrong.
    """
    candidates = keys.candidates_for(unverified.kid, unverified.algorithm)
    if not candidates:
        named = "without a 'kid'" if unverified.kid is None else "with its 'kid'"
        fault = f"there is no key for {unverified.algorithm} {named}"
        raise TokenError(TokenFault.UNKNOWN_KEY, fault)
    signed = (unverified.signing_input, unverified.signature)
    for key in candidates:
        if is_signed_with(key, *signed, algorithm=unverified.algorithm):
            return key
    raise TokenError(TokenFault.SIGNATURE, f"no key for {unverified.algorithm} has made it")


def _segments_of(token: str, max_chars: int) -> list[str]:
    # First of all: everything else takes longer with a longer token.
    if len(token) > max_chars:
        raise TokenError(TokenFault.TOO_LARGE, f"of more than {max_chars} characters")
    segments = token.split(".", _JWE_SEGMENTS)
    if len(segments) == _JWE_SEGMENTS and _is_jwe_header(segments[0]):
        raise TokenError(TokenFault.ENCRYPTED, "a JWE, which is not for this server to read")
    if len(segments) != 3:
        raise TokenError(TokenFault.MALFORMED, "it has not the three parts of a JWT")
    return segments


def _is_jwe_header(segment: str) -> bool:
    # RFC 7516 4.1.2: every JWE has `enc`, and no JWS has.
    try:
        return "enc" in parse_json_object(decode_base64url(segment))
    except ValueError:
        return False


def _decoded(segment: str) -> bytes:
    try:
        return decode_base64url(segment)
    except ValueError:
        raise TokenError(TokenFault.MALFORMED, "a part of it is no base64url") from None


def _header_of(data: bytes) -> Mapping[str, object]:
    if len(data) > MAX_HEADER_BYTES:
        raise TokenError(TokenFault.TOO_LARGE, f"its header has more than {MAX_HEADER_BYTES} bytes")
    try:
        header = parse_json_object(data)
    except ValueError:
        raise TokenError(TokenFault.HEADER, "it is no strict JSON object") from None
    refused = _REFUSED_MEMBERS.intersection(header)
    if refused:
        raise TokenError(TokenFault.HEADER, f"it has {listed(sorted(refused))}")
    return header


def _algorithm_of(header: Mapping[str, object]) -> str:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise TokenError(TokenFault.ALGORITHM, "the header has no 'alg'")
    return algorithm


def _kid_of(header: Mapping[str, object]) -> str | None:
    if "kid" not in header:
        return None
    kid = header["kid"]
    if not isinstance(kid, str) or len(kid) > MAX_KID_CHARS:
        raise TokenError(TokenFault.HEADER, "'kid' is no text, or too long")
    return kid
