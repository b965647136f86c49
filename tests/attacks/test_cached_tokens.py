"""A token that was good a moment ago is looked at again all the same."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fastapi_scopes.errors import TokenError, TokenFault
from fastapi_scopes.verifiers import MemoryRevocationList
from fastapi_scopes.verifiers._encodings import decode_base64url
from tests.verifiers.kinds import KEY, KINDS, Make, outcome
from tests.verifiers.minting import NOW, b64, mint, sign
from tests.verifiers.publishing import Clock

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

TIMES: Mapping[str, tuple[dict[str, Any], float, str]] = {
    "last-moment": ({"exp": NOW + 30}, 29.9, "accept"),
    "expired": ({"exp": NOW + 30}, 30, "expired"),
    "nbf-by-a-clock-set-back": ({"nbf": NOW}, -11, "not_yet_valid"),
    "iat-by-a-clock-set-back": ({"iat": NOW}, -11, "not_yet_valid"),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("claims", "after", "answer"), TIMES.values(), ids=TIMES)
def test_time_is_looked_at_in_every_request(
    make: Make, claims: dict[str, Any], after: float, answer: str
) -> None:
    clock = Clock()
    verifier, token = make(now=clock), mint(algorithm="ES256", **claims)

    assert outcome(verifier, token) == "accept"
    clock.move(after)
    assert outcome(verifier, token) == answer


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_clock_that_says_nothing_refuses_a_token_that_is_kept(make: Make) -> None:
    clock = Clock()
    verifier, token = make(now=clock), mint(algorithm="ES256")

    assert outcome(verifier, token) == "accept"
    clock.now = float("nan")
    assert outcome(verifier, token) in ("expired", "unavailable")


class Leaping(Clock):
    """A clock that leaps when it is asked for the so-manieth time."""

    leaps_at = 0
    by = 600.0

    def __call__(self) -> float:
        self.leaps_at -= 1
        if not self.leaps_at:
            self.now += self.by
        return self.now


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "new"])
@pytest.mark.parametrize("leaps_at", range(1, 7))
def test_token_that_expires_while_it_is_looked_at_is_refused(
    make: Make, kept: bool, leaps_at: int
) -> None:
    clock = Leaping()
    verifier, token = make(now=clock), mint(exp=NOW + 600, algorithm="ES256")

    # The keys are there at least.
    outcome(verifier, token if kept else mint(algorithm="ES256"))
    clock.leaps_at = leaps_at
    answer = outcome(verifier, token)
    # What it said last is what the answer rests on.
    assert answer == ("accept" if clock.now == NOW else "expired")


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "new"])
@pytest.mark.parametrize("leaps_at", range(1, 7))
def test_token_that_is_too_new_when_it_was_looked_at_is_refused(
    make: Make, kept: bool, leaps_at: int
) -> None:
    clock = Leaping()
    verifier, token = make(now=clock), mint(nbf=NOW, algorithm="ES256")

    outcome(verifier, token if kept else mint(algorithm="ES256"))
    clock.leaps_at, clock.by = leaps_at, -600
    answer = outcome(verifier, token)
    assert answer == ("accept" if clock.now == NOW else "not_yet_valid")


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_revoked_token_is_refused_from_the_next_request_on(make: Make) -> None:
    revocations = MemoryRevocationList(now=lambda: NOW)
    verifier = make(revocations=revocations)
    token, other = (mint(algorithm="ES256", jti=jti) for jti in ("one", "other"))

    assert [outcome(verifier, each) for each in (token, other)] == ["accept", "accept"]
    asyncio.run(revocations.revoke(None, "one", exp=NOW + 600))
    assert [outcome(verifier, each) for each in (token, other)] == ["revoked", "accept"]


class Withdrawn:
    """Proof that holds for as long as the caller has it."""

    def __init__(self) -> None:
        self.holds = True

    async def check(self, token: str, confirmation: Mapping[str, object]) -> None:
        if not self.holds:
            raise TokenError(TokenFault.CONFIRMATION)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_token_without_its_proof_is_refused_from_the_next_request_on(make: Make) -> None:
    proof = Withdrawn()
    verifier, token = make(proof=proof), mint(algorithm="ES256", cnf={"jkt": "x"})

    assert outcome(verifier, token) == "accept"
    proof.holds = False
    assert outcome(verifier, token) == "confirmation"


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_forged_token_that_reads_as_a_kept_one_is_refused(make: Make) -> None:
    verifier, token = make(), mint(algorithm="ES256")
    message, _, signature = token.rpartition(".")
    other = b64(sign(b"another message", KEY, "ES256"))
    forged = [f"{message}.{other}", f"{message}.{b64(bytes(64))}", f"{message}.", f"{token}A"]

    assert outcome(verifier, token) == "accept"
    assert "accept" not in [outcome(verifier, each) for each in forged]
    assert outcome(verifier, f"{message[:-1]}.{signature}") != "accept"
    assert outcome(verifier, token) == "accept"


def twin_of(token: str) -> str:
    """The same token under the other signature that whoever has one can make of it."""
    message, _, signature = token.rpartition(".")
    r, s = divmod(int.from_bytes(decode_base64url(signature)), 1 << 256)
    return f"{message}.{b64(((r << 256) + P256_ORDER - s).to_bytes(64))}"


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("kept", [True, False], ids=["both-kept", "none-kept"])
def test_twin_of_a_revoked_token_is_refused(make: Make, kept: bool) -> None:
    revocations = MemoryRevocationList(now=lambda: NOW)
    verifier, token = make(revocations=revocations), mint(algorithm="ES256", jti="one")
    twin = twin_of(token)

    if kept:
        assert [outcome(verifier, each) for each in (token, twin)] == ["accept", "accept"]
    asyncio.run(revocations.revoke(None, "one", exp=NOW + 600))
    assert [outcome(verifier, each) for each in (token, twin)] == ["revoked", "revoked"]


def below(frames: int, ask: Callable[[], str]) -> str:
    """What *ask* gives that many frames deeper in the stack."""
    return ask() if not frames else below(frames - 1, ask)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("depth", "frames"), [(300, 50), (900, 50), (800, 200), (600, 500)])
def test_kept_token_with_nested_claims_raises_nothing_deeper_in_the_stack(
    make: Make, depth: int, frames: int
) -> None:
    nested = "[" * depth + "]" * depth
    token = mint(f'{{"exp":{NOW + 600},"nested":{nested}}}', algorithm="ES256")
    verifier = make()

    # Anything but a verdict escapes `outcome`, and would be answered with 500.
    outcome(verifier, token)
    assert below(frames, lambda: outcome(verifier, token)) in ("accept", "claims", "payload")
