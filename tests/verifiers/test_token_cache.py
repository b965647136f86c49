"""Verified tokens are kept for a while, and only so many of them."""

import gc
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from jose import jws

from fastapi_scopes import ScopeGuard
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.verifiers import IntrospectionVerifier
from fastapi_scopes.verifiers.cache import TokenCache
from tests.verifiers.kinds import KINDS, Make, outcome
from tests.verifiers.minting import NOW, mint
from tests.verifiers.publishing import Clock
from tests.verifiers.verifying import verified

FOREVER = float("inf")


def make_cache(*tokens: str, ttl: float = 60, size: int = 3) -> TokenCache[str]:
    """A cache that holds *tokens* since NOW, each under its own name."""
    cache: TokenCache[str] = TokenCache(ttl=ttl, size=size)
    for token in tokens:
        cache.put(token, token, NOW, until=FOREVER)
    return cache


def held(cache: TokenCache[str], *tokens: str, at: float = NOW) -> list[str]:
    return [token for token in tokens if cache.get(token, at) == token]


def test_cache_holds_no_more_than_its_size() -> None:
    cache = make_cache("a", "b", "c", "d", "e")

    assert len(cache) == 3
    assert held(cache, "a", "b", "c", "d", "e") == ["c", "d", "e"]


def test_least_used_one_goes_first() -> None:
    cache = make_cache("a", "b", "c")
    assert held(cache, "b", "a") == ["b", "a"]
    cache.put("d", "d", NOW, until=FOREVER)
    cache.put("e", "e", NOW, until=FOREVER)

    assert held(cache, "a", "b", "c", "d", "e") == ["a", "d", "e"]


def test_value_that_is_put_again_is_the_new_one_from_then_on() -> None:
    cache = make_cache("a")
    cache.put("a", "newer", NOW + 50, until=FOREVER)

    assert len(cache) == 1
    assert cache.get("a", NOW + 109) == "newer"
    assert cache.get("a", NOW + 110) is None


MOMENTS: Mapping[str, tuple[float, float, bool]] = {
    "at-once": (FOREVER, 0, True),
    "last-moment": (FOREVER, 59.9, True),
    "ttl": (FOREVER, 60, False),
    "long-after": (FOREVER, 1e9, False),
    "before-until": (30, 29.9, True),
    "until": (30, 30, False),
    "until-after-the-ttl": (90, 61, False),
    "clock-set-back": (FOREVER, -0.1, False),
    "clock-says-nan": (FOREVER, float("nan"), False),
}


@pytest.mark.parametrize(("until", "after", "expected"), MOMENTS.values(), ids=MOMENTS)
def test_value_is_kept_for_the_ttl_and_not_beyond_its_end(
    until: float, after: float, expected: bool
) -> None:
    cache = make_cache()
    cache.put("a", "a", NOW, until=NOW + until)

    assert held(cache, "a", at=NOW + after) == (["a"] if expected else [])


@pytest.mark.parametrize("wrong", [NOW - 1, NOW + 60, float("nan")], ids=["back", "late", "nan"])
def test_value_that_was_too_old_once_does_not_come_back(wrong: float) -> None:
    cache = make_cache("a")

    assert held(cache, "a", at=wrong) == []
    assert len(cache) == 0


@pytest.mark.parametrize(
    ("settings", "until"),
    [
        ({"ttl": 0}, FOREVER),
        ({"size": 0}, FOREVER),
        ({"ttl": 60}, NOW),
        ({"ttl": 60}, NOW - 1),
        ({"ttl": 60}, float("nan")),
    ],
    ids=["no-ttl", "no-size", "ends-now", "ended", "ends-nan"],
)
def test_value_without_a_future_is_not_kept(settings: dict[str, Any], until: float) -> None:
    cache = make_cache(**settings)
    cache.put("a", "a", NOW, until=until)

    assert len(cache) == 0


@pytest.mark.parametrize("token", [None, 1, b"a", ["a"], object()])
def test_what_is_no_text_is_never_found(token: Any) -> None:
    assert make_cache("a", "None", "1").get(token, NOW) is None


def test_lone_surrogate_is_a_key_like_any_other() -> None:
    cache = make_cache("\ud800")

    assert [cache.get(each, NOW) for each in ("\ud800", "\udc00", "?")] == ["\ud800", None, None]


class Meanwhile(float):
    """A moment of which, when it is looked at, another thread makes use."""

    use: Callable[[], object]

    def __ge__(self, other: float) -> bool:
        self.use()
        return float(self) >= other


def test_value_that_goes_while_it_is_looked_at_is_found() -> None:
    cache, now = make_cache("a", size=1), Meanwhile(NOW)
    now.use = lambda: cache.put("b", "b", NOW, until=FOREVER)

    assert held(cache, "a", at=now) == ["a"]
    assert held(cache, "a", "b") == ["b"]


def reachable(root: object) -> Iterator[object]:
    """All that is kept alive by *root*, classes and modules aside."""
    seen, coming = {id(root)}, [root]
    while coming:
        each = coming.pop()
        yield each
        for other in gc.get_referents(each):
            if id(other) not in seen and not isinstance(other, type | type(sys)):
                seen.add(id(other))
                coming.append(other)


def test_cache_holds_nothing_that_could_be_presented_as_a_token() -> None:
    cache, token = make_cache(), "header.payload.signature"
    cache.put(token, "value", NOW, until=FOREVER)

    texts = [each for each in reachable(cache) if isinstance(each, str | bytes)]
    assert "value" in texts
    assert not any(b"payload" in (t if isinstance(t, bytes) else t.encode()) for t in texts)


def test_cache_survives_threads() -> None:
    cache, names = make_cache(size=4), [str(number) for number in range(12)]
    wrong: list[object] = []

    def use(start: int) -> None:
        for turn in range(1500):
            name = names[(start + turn * 7) % len(names)]
            try:
                found = cache.get(name, NOW + turn % 3)
                cache.put(name, name, NOW + turn % 2, until=FOREVER)
            except Exception as error:  # noqa: BLE001 - whatever a thread may raise
                found = repr(error)
            if found not in (None, name):
                wrong.append(found)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert wrong == []
    assert len(cache) <= 4


def make_introspecting(**config: Any) -> Any:
    client = {"endpoint": "https://as.example/x", "client_id": "c", "client_secret": "s"}
    return IntrospectionVerifier(**client, issuer=None, audience=None, **config)


NO_TTL = "cache_ttl is no number of seconds from 0 to 3600"
NO_SIZE = "cache_size is no number of tokens"
BAD_SETTINGS: Mapping[str, tuple[dict[str, Any], str]] = {
    "ttl-negative": ({"cache_ttl": -1}, NO_TTL),
    "ttl-over-an-hour": ({"cache_ttl": 3601}, NO_TTL),
    "ttl-nan": ({"cache_ttl": float("nan")}, NO_TTL),
    "ttl-infinite": ({"cache_ttl": float("inf")}, NO_TTL),
    "ttl-true": ({"cache_ttl": True}, NO_TTL),
    "ttl-text": ({"cache_ttl": "60"}, NO_TTL),
    "ttl-none": ({"cache_ttl": None}, NO_TTL),
    "size-negative": ({"cache_size": -1}, NO_SIZE),
    "size-fraction": ({"cache_size": 1.5}, NO_SIZE),
    "size-infinite": ({"cache_size": float("inf")}, NO_SIZE),
    "size-true": ({"cache_size": True}, NO_SIZE),
    "size-text": ({"cache_size": "1024"}, NO_SIZE),
    "size-none": ({"cache_size": None}, NO_SIZE),
}


@pytest.mark.parametrize("make", [*KINDS.values(), make_introspecting], ids=[*KINDS, "opaque"])
@pytest.mark.parametrize(("setting", "problem"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_bad_setting_is_named_by_the_constructor(
    make: Make, setting: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(**setting)

    assert len(caught.value.problems) == 1
    assert problem in str(caught.value)


@pytest.fixture
def signatures(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was signed, of each token whose signature was looked at; no client sees whether."""
    looked_at: list[bytes] = []
    matches: Callable[..., Any] = jws._sig_matches_keys

    def watched(keys: Any, signing_input: bytes, *rest: Any) -> Any:
        looked_at.append(signing_input)
        return matches(keys, signing_input, *rest)

    monkeypatch.setattr(jws, "_sig_matches_keys", watched)
    return looked_at


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_signature_is_looked_at_once_in_the_ttl(make: Make, signatures: list[bytes]) -> None:
    clock, token = Clock(), mint(algorithm="ES256")
    verifier = make(now=clock, cache_ttl=60)

    looked_at = []
    for _ in range(5):
        assert outcome(verifier, token) == "accept"
        looked_at.append(len(signatures))
        clock.move(20)
    assert looked_at == [1, 1, 1, 2, 2]


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "setting", [{"cache_ttl": 0}, {"cache_size": 0}, {"cache_size": 1}], ids=str
)
def test_cache_that_keeps_nothing_changes_no_answer(
    make: Make, setting: dict[str, int], signatures: list[bytes]
) -> None:
    verifier = make(**setting)
    tokens = [mint(sub=name, algorithm="ES256") for name in ("alice", "bob")]

    for _ in range(3):
        assert [verified(verifier, token).sub for token in tokens] == ["alice", "bob"]
    assert signatures == [token.rpartition(".")[0].encode() for token in tokens] * 3


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_refused_token_is_judged_anew(make: Make, signatures: list[bytes]) -> None:
    clock = Clock(NOW - 5)
    verifier, early = make(now=clock, clock_skew=0), mint(nbf=NOW, algorithm="ES256")

    assert outcome(verifier, early) == "not_yet_valid"
    clock.move(5)
    assert outcome(verifier, early) == "accept"
    assert len(signatures) == 2


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_token_is_verified_once_for_all_guards_of_a_connection(
    make: Make, signatures: list[bytes]
) -> None:
    verifier = make(cache_ttl=0)
    outer, inner = (ScopeGuard({"GET /x": []}, verifier=verifier) for _ in range(2))
    app = FastAPI(openapi_url=None)
    app.add_api_route("/x", lambda: "ran", dependencies=[Depends(inner), Depends(outer)])
    outer.protect(app)

    headers = {"Authorization": f"Bearer {mint(algorithm='ES256')}"}
    for count in (1, 2):
        assert TestClient(app).get("/x", headers=headers).status_code == 200
        assert len(signatures) == count
