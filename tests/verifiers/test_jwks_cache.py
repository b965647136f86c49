"""What was verified is kept for a while, and never for longer than the key that verified it."""

import asyncio
from collections.abc import Callable

import pytest

from fastapi_scopes.errors import TokenFault
from tests.verifiers.minting import ec_key
from tests.verifiers.publishing import (
    Clock,
    Issuer,
    in_threads,
    looped,
    outcome_of,
    refreshed,
    settled,
)


@looped
async def test_cached_token_is_refused_as_soon_as_its_key_is_gone() -> None:
    issuer = Issuer("k1", "k2")
    verifier = issuer.verifier(cache_ttl=3600)
    token = issuer.mint("k1")
    await verifier.verify(token)
    issuer.publish("k2")

    issuer.clock.move(299.9)
    assert await outcome_of(verifier, token) == "accept"
    await refreshed(issuer, verifier)
    assert await outcome_of(verifier, token) == TokenFault.UNKNOWN_KEY


@looped
async def test_refresh_for_an_unknown_key_also_ends_what_a_removed_key_signed() -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier(cache_ttl=3600)
    token = issuer.mint("k1")
    await verifier.verify(token)
    issuer.publish("k2")

    assert await outcome_of(verifier, issuer.mint("k2")) == "accept"
    assert await outcome_of(verifier, token) == TokenFault.UNKNOWN_KEY


@pytest.mark.parametrize(
    ("published", "expected"),
    [(("k1", "k2"), "accept"), (("k2", "k3"), TokenFault.UNKNOWN_KEY)],
    ids=["key-added", "key-replaced"],
)
@looped
async def test_tokens_are_kept_while_no_key_goes(published: tuple[str, ...], expected: str) -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier(cache_ttl=3600)
    # Among several keys it can be verified no more, so whether it passes tells if it was kept.
    nameless = issuer.mint(None, key=ec_key(name="k1"))
    await verifier.verify(nameless)
    issuer.publish(*published)
    await refreshed(issuer, verifier)

    assert await outcome_of(verifier, nameless) == expected
    another = issuer.mint(None, key=ec_key(name="k1"), jti="another")
    assert await outcome_of(verifier, another) == TokenFault.UNKNOWN_KEY


class WatchedClock(Clock):
    """A clock that does something when it is looked at after *looks* other looks."""

    def watch(self, looks: int, action: Callable[[], object]) -> None:
        self.looks_left, self.action = looks, action

    def __call__(self) -> float:
        self.looks_left -= 1
        if self.looks_left == -1:
            self.action()
        return self.now

    looks_left = -1


def verified_while_its_key_goes(looks: int) -> tuple[bool, str]:
    """Whether a verification looks at its clock that often, and what the token is afterwards."""
    issuer, clock = Issuer("k1"), WatchedClock()
    verifier = issuer.verifier(now=clock, cache_ttl=3600)
    token = issuer.mint("k1")
    asyncio.run(verifier.verify(issuer.mint("k1", jti="warm")))

    async def rotate() -> None:
        issuer.publish("k2")
        assert await outcome_of(verifier, issuer.mint("k2")) == "accept"
        await settled()

    clock.watch(looks, lambda: in_threads(rotate))
    asyncio.run(outcome_of(verifier, token))
    return clock.looks_left < 0, asyncio.run(outcome_of(verifier, token))


def test_token_verified_while_its_key_goes_is_not_kept() -> None:
    moments = [verified_while_its_key_goes(looks) for looks in range(8)]
    outcomes = [outcome for has_gone, outcome in moments if has_gone]

    # From before the keys are chosen to after the claims are stored, and all in between.
    assert 3 <= len(outcomes) < 8
    assert set(outcomes) == {TokenFault.UNKNOWN_KEY}
