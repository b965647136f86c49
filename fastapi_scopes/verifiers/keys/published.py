"""The keys that an issuer publishes as a JWK set (RFC 7517 5)."""

import base64
import contextlib
import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from fastapi_scopes.verifiers._encodings import is_json_array, is_json_object, parse_json_object
from fastapi_scopes.verifiers._jose import Algorithm
from fastapi_scopes.verifiers.keys.jwk import no_usable_key, usable_keys
from fastapi_scopes.verifiers.keys.material import (
    KeyMaterial,
    KeyOfAnotherUseError,
    KeyRefusedError,
)
from fastapi_scopes.verifiers.keys.ring import (
    MAX_CANDIDATES,
    VerificationKeys,
    unnamed_key_problems,
)

__all__ = ["MAX_PUBLISHED_KEYS", "KeySetReader"]

_log = logging.getLogger("fastapi_scopes")

MAX_PUBLISHED_KEYS: Final = 64
"""The most keys that a published JWK set may have; members without a public key do not count."""

# RFC 7518 6.2.2, 6.3.2, 6.4.1, RFC 8037 2, and ML-DSA: the private half, or a part of it that
# gives away the rest.
_PRIVATE: Final = ("d", "k", "p", "q", "dp", "dq", "qi", "oth", "priv")
# What tells one public key from another, whatever its exponent or its sign.
_NUMBERS: Final = ("n", "x")
_BEYOND_BASE64URL: Final = re.compile(r"[^A-Za-z0-9_-]")

_KINDS: Final = ("RSA", "EC", "OKP")
_NO_KEY: Final = KeyRefusedError("is no public key, without 'n' and 'x'")
_ANOTHER_KIND: Final = KeyOfAnotherUseError("is of a kind that is not known here")

_MAX_LISTED: Final = 8
_MAX_TOLD: Final = 1000


class KeySetReader:
    """Reads the JWK set of one issuer; what it skips is told in the log once, and not each time."""

    def __init__(self, algorithms: Sequence[Algorithm]) -> None:
        self._algorithms = algorithms
        self._told: set[str] = set()

    def read(self, body: bytes, place: str) -> VerificationKeys:
        """Return the keys in *body*, the JWK set at *place*; members that are unfit are skipped.

        Raises:
            KeyRefusedError: it is no JWK set, holds too many keys, or no usable one. An issuer
                without keys could sign nothing, so an empty set is a fault.
        """
        members = _members_of(body)
        numbers = [frozenset(_numbers_in(each)) for each in members]
        public = {position: members[position] for position, each in enumerate(numbers) if each}
        # It takes a while to vet one; the others are told by a look.
        if len(public) > MAX_PUBLISHED_KEYS:
            raise KeyRefusedError(
                f"holds more than {MAX_PUBLISHED_KEYS} keys",
                "ask the issuer to withdraw those that sign no more",
            )
        exposed = _exposed_among(members, numbers)
        self._tell_exposed(exposed, place)
        others = {number: each for number, each in public.items() if number not in exposed}
        found, skipped = usable_keys(others, self._algorithms)
        _skip_unnamed(found, skipped, self._algorithms)
        # INVARIANT: no fault of the set, where a key in it is exposed: that key may be held, and
        # held keys outlive a fault. Held by test_exposed_key_that_was_held_is_held_no_more.
        if not found and public.keys().isdisjoint(exposed):
            if exposed:
                raise KeyRefusedError(
                    "holds a secret, and no usable key", "ask the issuer to publish a new key"
                )
            present = [*public.values()] or members[:MAX_PUBLISHED_KEYS]
            raise no_usable_key(present, self._algorithms)
        for position, each in enumerate(members):
            if position not in public and position not in exposed:
                skipped[position] = _no_key(each)
        self._tell_skipped(skipped, place)
        return VerificationKeys([*found.values()], self._algorithms)

    def _tell_exposed(self, exposed: Collection[int], place: str) -> None:
        if exposed:
            text = (
                f"the JWK set at {place} has the private half of {_listed(exposed)} in it, with "
                "which everybody can sign; it verifies nothing, and the issuer must withdraw it"
            )
            self._log_once(logging.ERROR, text)

    def _tell_skipped(self, skipped: Mapping[int, KeyRefusedError], place: str) -> None:
        reasons: dict[tuple[int, str], list[int]] = {}
        for position, error in skipped.items():
            level = logging.INFO if isinstance(error, KeyOfAnotherUseError) else logging.WARNING
            reasons.setdefault((level, error.problem.text), []).append(position)
        for (level, reason), positions in reasons.items():
            text = f"of the JWK set at {place} {_listed(positions)} {reason}, and is skipped"
            self._log_once(level, text)

    def _log_once(self, level: int, text: str) -> None:
        if text not in self._told:
            if len(self._told) >= _MAX_TOLD:
                self._told.clear()
            self._told.add(text)
            _log.log(level, "%s", text)


def _listed(positions: Collection[int]) -> str:
    names = ", ".join(f"keys[{each}]" for each in sorted(positions)[:_MAX_LISTED])
    more = len(positions) - _MAX_LISTED
    named = f"{names} and {more} more" if more > 0 else names
    return named if len(positions) == 1 else f"each of {named}"


def _members_of(body: bytes) -> list[object]:
    try:
        members = parse_json_object(body).get("keys")
    except ValueError:
        raise KeyRefusedError("is no strict JSON object") from None
    if not is_json_array(members):
        raise KeyRefusedError("has no list of keys, so it is no JWK set")
    return members


def _exposed_among(members: Sequence[object], numbers: Sequence[frozenset[int]]) -> frozenset[int]:
    """Return the positions of the keys whose private half is in the set, beside any of them.

    *numbers* are those of the public key of each of *members*.
    """
    private = [place for place, each in enumerate(members) if _is_private(each)]
    known = {number for each in private for number in numbers[each]}
    twins = [place for place, each in enumerate(numbers) if not known.isdisjoint(each)]
    return frozenset([*private, *twins])


def _is_private(member: object) -> bool:
    return is_json_object(member) and (
        member.get("kty") == "oct" or any(member.get(each) is not None for each in _PRIVATE)
    )


def _numbers_in(member: object) -> Iterator[int]:
    """Yield the numbers that tell the public key of *member* from others, however spelled."""
    for name in _NUMBERS:
        value = member.get(name) if is_json_object(member) else None
        if isinstance(value, str):
            text = _BEYOND_BASE64URL.sub("", value.replace("+", "-").replace("/", "_"))
            with contextlib.suppress(ValueError):
                yield int.from_bytes(base64.urlsafe_b64decode(text + "=="))


def _no_key(member: object) -> KeyRefusedError:
    kind = member.get("kty") if is_json_object(member) else None
    return _ANOTHER_KIND if isinstance(kind, str) and kind not in _KINDS else _NO_KEY


def _skip_unnamed(
    found: dict[int, KeyMaterial],
    skipped: dict[int, KeyRefusedError],
    algorithms: Sequence[Algorithm],
) -> None:
    """Move the keys without a name from *found* to *skipped*, where they are too many to try."""
    if any(unnamed_key_problems([*found.values()], algorithms)):
        for position in [place for place, key in found.items() if key.kid is None]:
            del found[position]
            skipped[position] = KeyRefusedError(
                f"has no 'kid', and so have more than {MAX_CANDIDATES}"
            )
