"""What a client of the soak presents, and what is true of it."""

import math
from dataclasses import dataclass, field
from enum import Enum

from tests.issuers.faulty import SigningKey

SECRET_MARK = "of-nobody-else-s-business"
"""What is in credentials that are no tokens, and never in what a server writes."""


class Kind(Enum):
    """Why a client presents it."""

    CURRENT = "current key"
    PREVIOUS = "previous key"
    CACHED = "same token again"
    SHORT_LIVED = "expires in use"
    LACKING = "lacks scopes"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    FORGED = "forged"
    OTHER_ISSUER = "other issuer"
    OTHER_AUDIENCE = "other audience"
    ALG_NONE = "alg none"
    ALG_HS256 = "alg HS256"
    NO_TOKEN = "no token"
    MALFORMED = "malformed"
    REVOKED = "revoked"
    UNKNOWN_KID = "unknown kid"
    NO_KID = "without kid"
    RETIRED = "retired key"
    EARLY = "key before its time"


class Standing(Enum):
    """What may be said of it whatever happens to the issuers and to Redis."""

    ABSENT = "no bearer credentials"
    MALFORMED = "no credentials at all"
    WORTHLESS = "no issuer ever gave this token for this application"
    SIGNED = "an issuer gave it: keys, time and revocation decide"


@dataclass(frozen=True, slots=True)
class Credential:
    """One Authorization field, or none, or two, for the application called *app*."""

    kind: Kind
    app: str
    standing: Standing
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    key: SigningKey | None = field(default=None, repr=False)
    names_key: bool = True
    scopes: frozenset[str] = frozenset()
    jti: str = ""
    not_before: float = -math.inf
    expires: float = math.inf
    is_revoked: bool = False
