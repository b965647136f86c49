"""Mints what the clients of the soak present, kind by kind."""

import json
import random
import time
from collections import deque
from dataclasses import replace
from itertools import count
from typing import Any, Final, TypeAlias

from benchmarks.soak.credentials import SECRET_MARK, Credential, Kind, Standing
from benchmarks.soak.timeline import KeyRecord
from benchmarks.soak.world import World
from tests.issuers.faulty import SigningKey
from tests.verifiers import minting

_SCOPES: Final = ("soak:read", "soak:write")
_LIFE: Final = 600.0
_SKEW: Final = 10
"""The seconds that `nbf` may lie ahead: the default `clock_skew` of the verifiers."""
_POOL: Final = 24
# What has a verifier ask its issuer.
_PROBES: Final = {Kind.UNKNOWN_KID, Kind.NO_KID, Kind.EARLY}
_Headers: TypeAlias = tuple[tuple[str, str], ...]
_ABSENT: Final[tuple[_Headers, ...]] = (
    (),
    (("Authorization", f"Basic {SECRET_MARK}"),),
    (("X-Token", SECRET_MARK),),
)
_MALFORMED: Final[tuple[_Headers, ...]] = (
    (("Authorization", "Bearer"),),
    (("Authorization", f"Bearer {SECRET_MARK}!"),),
    (("Authorization", f"Bearer {SECRET_MARK} {SECRET_MARK}"),),
    (("Authorization", f"Bearer a,{SECRET_MARK}"),),
    (("Authorization", f"Bearer {SECRET_MARK}"),) * 2,
)


class Wallet:
    """What may be presented to the application called *app*."""

    def __init__(self, world: World, app: str, rng: random.Random) -> None:
        self._world = world
        self._issuer = world.issuers[app]
        self._app = app
        self._rng = rng
        self._cached: deque[Credential] = deque(maxlen=_POOL)
        self._short_lived: deque[Credential] = deque(maxlen=4)
        self.revoked: deque[Credential] = deque(maxlen=256)
        self._unknown = count(1)

    def draw(self, kind: Kind) -> Credential | None:
        """A credential of that kind, or None where the world has none now."""
        if kind in _PROBES and self._world.quiet_since is not None:
            return None
        match kind:
            case Kind.CURRENT | Kind.PREVIOUS | Kind.RETIRED | Kind.EARLY:
                return self._of_key(kind)
            case Kind.CACHED | Kind.REVOKED | Kind.SHORT_LIVED:
                return self._again(kind)
            case Kind.NO_TOKEN | Kind.MALFORMED:
                return self._bare(kind)
            case Kind.LACKING | Kind.EXPIRED | Kind.NOT_YET_VALID | Kind.NO_KID:
                return self._variant(kind)
            case _:
                return self._worthless(kind)

    def mint(self, kind: Kind, *, key: SigningKey | None = None, **more: Any) -> Credential:
        """A token that the issuer signed, by default with the key of this moment."""
        key = self._signing if key is None else key
        scopes = more.pop("scopes", _SCOPES)
        names_key = more.pop("names_key", True)
        now = time.time()
        claims = {"exp": int(now + _LIFE), "jti": f"{self._rng.getrandbits(96):x}", **more}
        token = self._issuer.mint(*scopes, key=key, without=() if names_key else ("kid",), **claims)
        return Credential(
            kind,
            self._app,
            Standing.SIGNED,
            _bearer(token),
            key=key,
            names_key=names_key,
            scopes=frozenset(scopes),
            jti=claims["jti"],
            not_before=claims.get("nbf", 0) - _SKEW,
            expires=claims["exp"],
        )

    @property
    def _signing(self) -> SigningKey:
        return self._world.current_key.key

    def _of_key(self, kind: Kind) -> Credential | None:
        key = self._key_for(kind)
        return None if key is None else self.mint(kind, key=key.key)

    def _key_for(self, kind: Kind) -> KeyRecord | None:
        now, current = time.time(), self._world.current_key
        keys = tuple(self._world.timeline.keys)
        match kind:
            case Kind.CURRENT:
                return current
            case Kind.EARLY:
                # Before it is published it is one more that nobody knows.
                return self._world.next_key
            case Kind.PREVIOUS:
                others = [each for each in keys if each.is_published(now) and each is not current]
                return next((each for each in others if each.signing_since < now), None)
            case _:
                # Those that went before are asked for, too, as keys that nobody knows.
                since = self._world.quiet_since or 0
                retired = [each for each in keys if since < each.retired_at <= now]
                return self._rng.choice(retired) if retired else None

    def _again(self, kind: Kind) -> Credential | None:
        match kind:
            case Kind.SHORT_LIVED:
                return self._expiring()
            case Kind.REVOKED:
                return self._one_of(self.revoked)
            case _:
                if len(self._cached) < _POOL:
                    self._cached.append(self.mint(kind))
                return self._one_of(self._cached)

    def _one_of(self, pool: deque[Credential]) -> Credential | None:
        while pool:
            chosen = self._rng.choice(pool)
            retired_at = self._retired_at(chosen)
            is_over = retired_at < self._world.timeline.asked_since(time.time())
            is_probe = retired_at < (self._world.quiet_since or 0)
            # For some times more, since it is then that a cache must know of it.
            if chosen.expires < time.time() or (is_over and self._rng.random() < 0.25) or is_probe:
                pool.remove(chosen)
            if not is_probe:
                return chosen
        return None

    def _retired_at(self, credential: Credential) -> float:
        keys = self._world.timeline.keys
        return next((each.retired_at for each in keys if each.key is credential.key), 0)

    def _expiring(self) -> Credential:
        now = time.time()
        pool = self._short_lived
        # Once they have expired they are presented for some moments more.
        if not pool or pool[-1].expires < now - 0.3:
            exp = round(now + self._rng.uniform(0.3, 2.5), self._rng.choice((0, 3)))
            pool.append(self.mint(Kind.SHORT_LIVED, exp=exp))
        return self._rng.choice(pool)

    def _variant(self, kind: Kind) -> Credential:
        now = time.time()
        match kind:
            case Kind.LACKING:
                scopes = self._rng.choice(((), ("soak:other",), ("soak:write",), ("soak:rea",)))
                return self.mint(kind, scopes=scopes)
            case Kind.EXPIRED:
                ages = (0.1, 1.0, 60.0, 1e6)
                return self.mint(kind, exp=now - self._rng.choice(ages), iat=int(now - 2e6))
            case Kind.NOT_YET_VALID:
                ahead = self._rng.choice((1.0, 60.0, 1e6))
                return self.mint(kind, nbf=now + _SKEW + ahead)
            case _:
                return self.mint(kind, names_key=False)

    def _bare(self, kind: Kind) -> Credential:
        is_absent = kind is Kind.NO_TOKEN
        standing = Standing.ABSENT if is_absent else Standing.MALFORMED
        headers = self._rng.choice(_ABSENT if is_absent else _MALFORMED)
        return Credential(kind, self._app, standing, headers)

    def _worthless(self, kind: Kind) -> Credential:
        signed = self.mint(kind)
        match kind:
            case Kind.OTHER_ISSUER:
                others = [each for each in self._world.issuers.values() if each is not self._issuer]
                slashed = self._issuer.identifier + "/"
                iss = self._rng.choice([*(each.identifier for each in others), slashed])
                made = self.mint(kind, iss=iss)
            case Kind.OTHER_AUDIENCE:
                made = self.mint(kind, aud=self._rng.choice(("other", self._issuer.identifier)))
            case Kind.UNKNOWN_KID:
                made = self.mint(kind, key=replace(self._signing, kid=self._new_kid()))
            case Kind.ALG_HS256:
                public = minting.pem(self._signing.private)
                made = self.mint(
                    kind, key=replace(self._signing, private=public, algorithm="HS256")
                )
            case Kind.ALG_NONE:
                made = replace(signed, headers=_bearer(self._unsigned(signed)))
            case _:
                made = replace(signed, headers=_bearer(self._forged(signed)))
        return replace(made, standing=Standing.WORTHLESS)

    def _new_kid(self) -> str:
        return f"soak-nobody-{next(self._unknown)}"

    def _unsigned(self, signed: Credential) -> str:
        _, payload, signature = _token_of(signed).split(".")
        header = minting.b64(json.dumps({"alg": "none", "kid": self._signing.kid}))
        return f"{header}.{payload}.{self._rng.choice(('', signature))}"

    def _forged(self, signed: Credential) -> str:
        header, payload, signature = _token_of(signed).split(".")
        other_header, other_payload, other_signature = _token_of(self.mint(Kind.FORGED)).split(".")
        flipped = ("A" if signature[7] != "A" else "B").join((signature[:7], signature[8:]))
        stranger = replace(self._signing, private=_stranger(self._signing.algorithm))
        return self._rng.choice(
            (
                f"{header}.{payload}.{other_signature}",
                f"{other_header}.{other_payload}.{signature}",
                f"{header}.{payload}.{flipped}",
                _token_of(self.mint(Kind.FORGED, key=stranger)),
            )
        )


def _stranger(algorithm: str) -> Any:
    match algorithm:
        case "ES256":
            return minting.ec_key(name="stranger")
        case "RS256":
            return minting.rsa_key("stranger")
        case _:
            return minting.ed25519_key("stranger")


def _bearer(token: str) -> _Headers:
    return (("Authorization", f"Bearer {token}"),)


def _token_of(credential: Credential) -> str:
    return credential.headers[0][1].removeprefix("Bearer ")
