"""The list of revoked tokens of one process."""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.verifiers import MemoryRevocationList
from tests.verifiers.kinds import KINDS, Make, gathered, outcome
from tests.verifiers.minting import NOW, mint
from tests.verifiers.publishing import Clock

ISSUER = "https://as.example"


def make_list(*revoked: tuple[Any, str], now: Any = lambda: NOW) -> MemoryRevocationList:
    """A list of *revoked* tokens of ten minutes."""
    revocations = MemoryRevocationList(now=now)

    async def revoke() -> None:
        for issuer, jti in revoked:
            await revocations.revoke(issuer, jti, exp=NOW + 600)

    asyncio.run(revoke())
    return revocations


def is_revoked(revocations: Any, issuer: Any, jti: str) -> bool:
    answer: bool = asyncio.run(revocations.is_revoked(issuer, jti))
    return answer


OTHERS: Mapping[str, tuple[Any, str]] = {
    "another-jti": (ISSUER, "other"),
    "another-issuer": ("https://partner.example", "one"),
    "no-issuer": (None, "one"),
    "empty-issuer": ("", "one"),
    "case": (ISSUER, "ONE"),
    "slash": (f"{ISSUER}/", "one"),
    "longer": (ISSUER, "one1"),
    "empty": (ISSUER, ""),
    "swapped": ("one", ISSUER),
    "joined": (f"{ISSUER}one", ""),
    "joined-the-other-way": ("", f"{ISSUER}one"),
    "quotes": (f'{ISSUER}", "one', "one"),
}


@pytest.mark.parametrize(("issuer", "jti"), OTHERS.values(), ids=OTHERS)
def test_token_is_revoked_by_issuer_and_jti_together(issuer: Any, jti: str) -> None:
    revocations = make_list((ISSUER, "one"))

    assert is_revoked(revocations, ISSUER, "one")
    assert not is_revoked(revocations, issuer, jti)


@pytest.mark.parametrize("name", ["None", "null", ""])
def test_no_issuer_is_none_of_any_name(name: str) -> None:
    assert is_revoked(make_list((None, "one")), None, "one")
    assert not is_revoked(make_list((None, "one")), name, "one")
    assert not is_revoked(make_list((name, "one")), None, "one")


@pytest.mark.parametrize("jti", ["\u00fc", "\ud800", "\0", "a b", '"]', "\U0001f511", "x" * 9_000])
def test_any_text_may_be_a_jti(jti: str) -> None:
    assert is_revoked(make_list((jti, jti)), jti, jti)


def test_list_says_how_many_and_not_which() -> None:
    revocations = make_list((ISSUER, "one"), (ISSUER, "two"), (ISSUER, "one"))

    assert len(revocations) == 2
    assert repr(revocations) == "<MemoryRevocationList of 2>"


BAD_ENTRIES: Mapping[str, tuple[Any, Any, Any, str]] = {
    "issuer-number": (1, "one", NOW, "issuer is no text"),
    "issuer-bytes": (b"as", "one", NOW, "issuer is no text"),
    "jti-none": (ISSUER, None, NOW, "jti is no text"),
    "jti-empty": (ISSUER, "", NOW, "jti is no text"),
    "jti-number": (ISSUER, 1, NOW, "jti is no text"),
    "exp-none": (ISSUER, "one", None, "exp is no time"),
    "exp-text": (ISSUER, "one", str(NOW), "exp is no time"),
    "exp-true": (ISSUER, "one", True, "exp is no time"),
    "exp-negative": (ISSUER, "one", -1, "exp is no time"),
    "exp-nan": (ISSUER, "one", float("nan"), "exp is no time"),
    "exp-infinite": (ISSUER, "one", float("inf"), "exp is no time"),
    "exp-in-milliseconds": (ISSUER, "one", NOW * 1000, "exp is no time"),
}


@pytest.mark.parametrize(("issuer", "jti", "exp", "problem"), BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_entry_that_names_no_token_is_refused(
    issuer: Any, jti: Any, exp: Any, problem: str
) -> None:
    revocations = make_list()

    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(revocations.revoke(issuer, jti, exp=exp))
    assert len(caught.value.problems) == 1
    assert problem in str(caught.value)
    assert len(revocations) == 0


def test_everything_that_is_wrong_with_an_entry_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(make_list().revoke(1, "", exp=None))  # type: ignore[arg-type]

    assert len(caught.value.problems) == 3


def filled(revocations: MemoryRevocationList, count: int, exp: float) -> None:
    async def revoke() -> None:
        for number in range(count):
            await revocations.revoke(None, f"{exp}-{number}", exp=exp)

    asyncio.run(revoke())


def test_tokens_that_have_expired_are_forgotten() -> None:
    clock = Clock()
    revocations = make_list((ISSUER, "one"), now=clock)
    filled(revocations, 2_000, NOW + 60)
    assert len(revocations) == 2_001

    # After that long no leeway lets them pass any more.
    clock.move(60 + 600.1)
    filled(revocations, 1_100, NOW + 600)
    assert len(revocations) == 1_101
    assert is_revoked(revocations, ISSUER, "one")
    assert not is_revoked(revocations, None, f"{NOW + 60}-0")


def test_list_does_not_grow_with_the_tokens_of_a_long_time() -> None:
    clock = Clock()
    revocations, most = make_list(now=clock), 0
    for _ in range(20):
        filled(revocations, 500, clock() + 60)
        clock.move(400)
        most = max(most, len(revocations))

    assert most <= 2_048


def test_clock_that_is_fast_for_a_while_forgets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fast_by, running = 0.0, time.time
    monkeypatch.setattr(time, "time", lambda: running() + fast_by)
    exp = time.time() + 60
    revocations = MemoryRevocationList(now=time.time)
    gathered(revocations.revoke(ISSUER, "before", exp=exp))

    fast_by = 10**6
    gathered(revocations.revoke(ISSUER, "meanwhile", exp=exp))
    filled(revocations, 5000, exp)
    fast_by = 0.0
    assert gathered(
        revocations.is_revoked(ISSUER, "before"), revocations.is_revoked(ISSUER, "meanwhile")
    ) == [True, True]


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_expired_token_that_the_leeway_lets_pass_stays_revoked(make: Make) -> None:
    clock = Clock()
    revocations = make_list((None, "one"), now=clock)
    verifier = make(now=clock, leeway=300, revocations=revocations)
    tokens = [mint(jti=jti, exp=NOW + 600, algorithm="ES256") for jti in ("one", "other")]

    clock.move(600 + 299)
    filled(revocations, 2_000, NOW + 5_000)
    assert [outcome(verifier, each) for each in tokens] == ["revoked", "accept"]


class Session:
    """Revokes its token when it is forgotten, at whatever moment it is collected."""

    def __init__(self, revocations: MemoryRevocationList) -> None:
        self.itself, self.revocations = self, revocations

    def __del__(self) -> None:
        with suppress(StopIteration):
            self.revocations.revoke(ISSUER, "one", exp=NOW + 600).send(None)


@pytest.fixture
def rare_collections() -> Iterator[None]:
    """The collector of cycles runs after some hundred new objects, and not before."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.set_threshold(200, *thresholds[1:])
    yield
    gc.enable()
    gc.set_threshold(*thresholds)


def test_token_may_be_revoked_in_the_middle_of_a_sweep(rare_collections: None) -> None:
    revocations = make_list()
    gc.disable()
    filled(revocations, 1_023, NOW - 1_000)
    Session(revocations)
    gc.enable()

    filled(revocations, 2, NOW - 2_000)
    gc.collect()
    assert is_revoked(revocations, ISSUER, "one")


def test_list_survives_threads_that_sweep_it() -> None:
    clock = Clock()
    revocations, broken = make_list((ISSUER, "one"), now=clock), []

    def use(number: int) -> None:
        try:
            filled(revocations, 3_000, NOW - 1_000 - number)
            assert is_revoked(revocations, ISSUER, "one")
        except Exception as error:  # noqa: BLE001 - whatever a thread may raise
            broken.append(error)

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

    assert broken == []
