"""A token that is too long costs nothing but to be measured, by whichever way it comes."""

from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from fastapi_scopes import ScopeGuard
from fastapi_scopes.core.credentials import TOKEN_CHARS_LIMIT
from fastapi_scopes.verifiers import IssuersVerifier
from fastapi_scopes.verifiers.cache import TokenCache
from tests.verifiers.kinds import KINDS, Make, outcome
from tests.verifiers.minting import NOW, mint
from tests.verifiers.verifying import make_verifier, verdict


class Unread(str):
    """A token that may be measured, and neither encoded nor split."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        raise AssertionError

    def split(self, *_: Any) -> list[str]:
        raise AssertionError


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_token_that_is_too_long_is_not_hashed(make: Make) -> None:
    assert outcome(make(), Unread("x" * 16385)) == "too_large"
    assert outcome(make(max_token_chars=100), Unread("x" * 101)) == "too_large"


def test_cache_has_nothing_for_a_token_that_is_too_long() -> None:
    cache: TokenCache[str] = TokenCache(ttl=60, size=4, max_chars=3)
    cache.put("abc", "value", NOW, until=NOW + 60)

    assert cache.get("abc", NOW) == "value"
    assert cache.get(Unread("abcd"), NOW) is None


@pytest.mark.parametrize("max_chars", [200, 100_000])
def test_limit_is_that_of_the_verifier_on_every_way(max_chars: int) -> None:
    long = mint(x="x" * 60_000)
    verifier = make_verifier(max_token_chars=max_chars)
    guard = ScopeGuard({"GET /": []}, verifier=verifier)
    app = FastAPI(dependencies=[Depends(guard)])
    app.get("/")(lambda: "ok")
    is_short = max_chars > 60_000

    answer = TestClient(app).get("/", headers={"Authorization": f"Bearer {long}"})
    assert verdict(verifier, long) == ("accept" if is_short else "too_large")
    assert answer.status_code == (200 if is_short else 401)


@pytest.mark.parametrize(("max_chars", "status"), [(100, 401), (1_000, 400)])
def test_credentials_beyond_the_limit_of_the_verifier_are_not_read(
    max_chars: int, status: int
) -> None:
    guard = ScopeGuard({"GET /": []}, verifier=make_verifier(max_token_chars=max_chars))
    app = FastAPI(dependencies=[Depends(guard)])
    app.get("/")(lambda: "ok")

    answer = TestClient(app).get("/", headers={"Authorization": f"Bearer {'!' * 200}"})
    assert answer.status_code == status


def test_limit_of_several_verifiers_is_the_greatest() -> None:
    short, long = (
        make_verifier(issuer=f"https://{size}", max_token_chars=size) for size in (300, 100_000)
    )
    verifier: Any = IssuersVerifier([short, long])

    assert verifier.max_token_chars == 100_000
    assert outcome(verifier, mint(iss="https://100000", x="x" * 60_000)) == "accept"
    assert outcome(verifier, mint(iss="https://300", x="x" * 60_000)) == "too_large"
    assert outcome(verifier, Unread("x" * 100_001)) == "too_large"


def test_no_verifier_reads_more_than_the_limit_of_all() -> None:
    verifier = make_verifier(max_token_chars=TOKEN_CHARS_LIMIT)

    assert verdict(verifier, "x" * TOKEN_CHARS_LIMIT) == "malformed"
    assert verdict(verifier, "x" * (TOKEN_CHARS_LIMIT + 1)) == "too_large"
