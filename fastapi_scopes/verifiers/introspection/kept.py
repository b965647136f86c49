"""An answer of the issuer in the form in which it is kept."""

import json
from sys import getsizeof
from typing import Any, Final, Generic, cast

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.verifiers._encodings import is_json_array, is_json_object
from fastapi_scopes.verifiers.tokens.profile import TokenProfile
from fastapi_scopes.verifiers.tokens.vetted import VettedClaims

__all__ = ["MAX_KEPT_BYTES", "KeptAnswer"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)

MAX_KEPT_BYTES: Final = 8 * 1024
"""The most memory that one answer is kept in, beside some objects that every answer takes."""


class KeptAnswer(Generic[ClaimsT]):
    """What was verified of an answer, as JSON; and what the claims model makes of it, if small.

    INVARIANT: many small values take twenty times the memory of their JSON, so they are read anew
    for each request (test_answer_of_many_small_parts_is_kept_in_8_kib).
    """

    __slots__ = ("_begins_at", "_is_small", "_modelled", "_text", "expires_at")

    def __init__(self, vetted: VettedClaims[ClaimsT], claims: dict[str, object]) -> None:
        # No claim named "scopes" is ever read: see `TokenProfile.model`.
        self._text = json.dumps({**claims, "scopes": sorted(vetted.scopes)})
        self.expires_at: float = vetted.expires_at
        self._begins_at = vetted.begins_at
        self._modelled: VettedClaims[ClaimsT] | None = None
        # Most scopes are parts of one text, and the claims have a set of their own.
        tables = 2 * getsizeof(vetted.scopes) + sum(map(getsizeof, vetted.scopes))
        self._is_small = (
            self.may_be_kept and len(self._text) + _size_of(claims) + tables <= MAX_KEPT_BYTES
        )

    @property
    def may_be_kept(self) -> bool:
        """Whether its JSON is short enough."""
        return len(self._text) <= MAX_KEPT_BYTES

    def modelled_by(self, profile: TokenProfile[ClaimsT]) -> VettedClaims[ClaimsT]:
        """Return the claims with what the model of *profile* makes of them, for the request itself.

        Raises:
            TokenError: the model refuses the claims.
        """
        if self._modelled is not None:
            return self._modelled
        claims = cast("dict[str, Any]", json.loads(self._text))
        vetted = VettedClaims[ClaimsT].of(
            claims,
            frozenset(claims["scopes"]),
            expires_at=self.expires_at,
            begins_at=self._begins_at,
        )
        modelled = profile.model(vetted)
        if self._is_small:
            self._modelled = modelled
        return modelled


def _size_of(value: object) -> int:
    """Return the bytes that *value*, read from JSON, takes at most."""
    size = getsizeof(value)
    if is_json_object(value):
        size += sum(map(_size_of, value)) + sum(map(_size_of, value.values()))
    elif is_json_array(value):
        size += sum(map(_size_of, value))
    return size
