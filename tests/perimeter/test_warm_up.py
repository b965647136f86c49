"""The start of a protected app asks for the keys, says what is wrong with them, and goes on."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fastapi_scopes import PUBLIC, Claims, ScopeGuard
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.verifiers import IssuersVerifier, JWKSVerifier
from fastapi_scopes.verifiers.warm_ups import timeout_of
from tests.issuers.answers import Answer, healthy
from tests.issuers.faults import members
from tests.issuers.faulty import FaultyIssuer
from tests.perimeter.small import CountingVerifier, Lifespan, make_app
from tests.verifiers.fetching import make_fetching
from tests.verifiers.publishing import PATIENCE, Issuer

RULES = {"GET /a": "a", "GET /open": PUBLIC}

may_end = threading.Event()
"""Set where what hangs has been left alone long enough."""


def protected(verifier: Any, app: FastAPI | None = None, **options: Any) -> FastAPI:
    guard: ScopeGuard[Any] = ScopeGuard(RULES, verifier=verifier)
    return guard.protect(app or make_app("/a", "/open"), **options)


class Warmable(CountingVerifier):
    """A verifier of the developer's own, whose warm-up is *work*."""

    def __init__(self, work: Callable[[], Awaitable[None]], **attributes: Any) -> None:
        super().__init__()
        self.begun = 0
        self._work = work
        vars(self).update(attributes)

    async def warm_up(self) -> None:
        self.begun += 1
        await self._work()


async def nothing() -> None:
    pass


async def fails() -> None:
    raise ConnectionError("canary")


async def exits() -> None:
    raise asyncio.CancelledError


async def hangs() -> None:
    await asyncio.Event().wait()


async def hangs_whoever_cancels_it() -> None:
    ends = time.monotonic() + PATIENCE
    while not may_end.is_set() and time.monotonic() < ends:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]


def test_first_request_finds_the_keys_of_the_start() -> None:
    with FaultyIssuer() as issuer:
        app = protected(make_fetching(issuer))
        with TestClient(app) as client:
            issuer.stop()
            headers = {"Authorization": f"Bearer {issuer.mint('a')}"}
            assert client.get("/a", headers=headers).status_code == 200


def answering(status: int) -> Any:
    return lambda good: good.with_status(status)


def html(good: Answer) -> Answer:
    return Answer.html()


def certificates(good: Answer) -> Answer:
    return good.with_document({"k1": "-----BEGIN CERTIFICATE-----\ncanary"})


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no-metadata": (
        {"metadata": answering(404), "oauth_metadata": answering(404)},
        "answered 404; if that address is wrong, correct issuer=, or pass jwks_uri=",
    ),
    "no-key-set": (
        {"key_set": answering(404)},
        "/jwks answered 404; if that address is wrong, correct issuer=, or pass jwks_uri=",
    ),
    "another-issuer": (
        {"metadata": members(issuer="https://canary.example")},
        "it must be equal, to the last slash: write issuer= as it stands there",
    ),
    "pages-of-an-app": (
        {"metadata": html, "oauth_metadata": html},
        "is an HTML page; if that address is wrong, correct issuer=, or pass jwks_uri=",
    ),
    "page-for-a-key-set": (
        {"key_set": html},
        "is an HTML page, no JWK set; if that address is wrong, correct issuer=, or pass jwks_uri=",
    ),
    "certificates": (
        {"key_set": certificates},
        "no JWK set; write the address of the issuer's JWK set in jwks_uri=",
    ),
    "slow": (
        {"metadata": lambda good: good.late(30)},
        "gave no answer in time; if that address is wrong, correct issuer=, or pass jwks_uri=",
    ),
}


@pytest.mark.parametrize(("faults", "said"), FAULTS.values(), ids=FAULTS)
def test_fault_of_the_issuer_is_one_error_that_says_what_to_write(
    faults: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with FaultyIssuer() as issuer:
        for resource, behaviour in faults.items():
            getattr(issuer, resource).switch(behaviour)
        app = protected(make_fetching(issuer, timeout=1))
        with TestClient(app) as client:
            assert client.get("/open").status_code == 200
        (line,) = errors_in(caplog)
        assert line.startswith(f"no keys of {issuer.identifier}: ")
        assert line.endswith(said)
        assert "canary" not in caplog.text


def test_keys_for_other_algorithms_are_one_error_that_names_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with FaultyIssuer(algorithm="ES384") as issuer, TestClient(protected(make_fetching(issuer))):
        (line,) = errors_in(caplog)
        assert line.endswith("its keys are for ES384: write algorithms=['ES384']")


UNREACHABLE = ["https://127.0.0.1:1", "https://issuer.invalid"]


@pytest.mark.parametrize("address", UNREACHABLE, ids=["nobody-listens", "no-such-host"])
def test_address_at_which_nobody_is_is_one_error(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    verifier = JWKSVerifier(issuer=address, audience=None)
    with TestClient(protected(verifier)) as client:
        assert client.get("/open").status_code == 200
    (line,) = errors_in(caplog)
    assert line.startswith(f"no keys of {address}: {address}/.well-known/openid-configuration ")
    assert line.endswith("; if that address is wrong, correct issuer=, or pass jwks_uri=")


def test_failed_start_begins_no_cooldown() -> None:
    with FaultyIssuer() as issuer:
        issuer.key_set.switch(answering(500))
        with TestClient(protected(make_fetching(issuer))) as client:
            issuer.key_set.switch(healthy)
            headers = {"Authorization": f"Bearer {issuer.mint('a')}"}
            assert client.get("/a", headers=headers).status_code == 200


def test_own_verifier_is_warmed_up_once_after_the_lifespan_was_entered() -> None:
    seen: list[str] = []
    lifespan = Lifespan()

    async def work() -> None:
        seen.extend(lifespan.seen)

    verifier = Warmable(work)
    with TestClient(protected(verifier, make_app("/a", "/open", lifespan=lifespan))):
        assert (seen, verifier.begun) == (["entered"], 1)


def test_gap_is_said_before_anything_is_asked() -> None:
    verifier = Warmable(nothing)
    app = protected(verifier, make_app("/a", "/open", "/forgotten"))
    with pytest.raises(ConfigurationError), TestClient(app):
        pass
    assert verifier.begun == 0


def alice() -> Claims:
    return Claims(sub="alice", exp=1, scopes=frozenset({"a"}))


def test_override_of_the_guard_needs_no_keys() -> None:
    verifier = Warmable(nothing)
    guard = ScopeGuard(RULES, verifier=verifier)
    app = guard.protect(make_app("/a", "/open"))
    app.dependency_overrides[guard] = alice
    with TestClient(app) as client:
        assert client.get("/a").status_code == 200
    app.dependency_overrides.clear()
    assert verifier.begun == 0
    with TestClient(app):
        assert verifier.begun == 1


def test_start_asks_for_nothing_where_that_is_switched_off() -> None:
    verifier = Warmable(nothing)
    with TestClient(protected(verifier, warm_up=False)):
        assert verifier.begun == 0


def test_switch_is_an_option_of_the_perimeter() -> None:
    guard = ScopeGuard(RULES, verifier=Warmable(nothing))
    app = guard.protect(make_app("/a", "/open"), warm_up=False)
    assert guard.protect(app, warm_up=False) is app
    with pytest.raises(ConfigurationError, match="other options"):
        guard.protect(app)


def test_nothing_is_asked_where_no_lifespan_runs() -> None:
    verifier = Warmable(nothing)
    assert TestClient(protected(verifier)).get("/open").status_code == 200
    assert verifier.begun == 0


def test_verifier_that_cannot_be_warmed_up_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with TestClient(protected(CountingVerifier())) as client:
        assert client.get("/open").status_code == 200
    assert errors_in(caplog) == []


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (fails, "raised ConnectionError"),
        (exits, "was cancelled"),
        (lambda: None, "raised TypeError"),
        (hangs, "has not ended in time"),
        (hangs_whoever_cancels_it, "has not ended in time"),
    ],
    ids=["error", "cancelled", "not-async", "hangs", "swallows-its-end"],
)
@pytest.mark.parametrize("is_member", [False, True], ids=["alone", "member"])
def test_hostile_warm_up_neither_stops_nor_delays_the_start(
    work: Any, said: str, is_member: bool, caplog: pytest.LogCaptureFixture
) -> None:
    verifier: Any = Warmable(work, timeout=0.2)
    if is_member:
        vars(verifier).update(issuers=frozenset({"own"}), grants_by_name=str)
        verifier = IssuersVerifier([verifier])

    async def start() -> float:
        app = protected(verifier)
        began = time.monotonic()
        async with app.router.lifespan_context(app):
            took = time.monotonic() - began
            may_end.set()
            return took

    may_end.clear()
    # Far less than the verifier would take.
    assert asyncio.run(start()) < PATIENCE / 2
    (line,) = errors_in(caplog)
    assert line.endswith(f".warm_up() {said}; the first request does without it")
    assert "canary" not in caplog.text


def test_members_are_asked_at_once_so_the_longest_timeout_is_that_of_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked, at_once = 0, 0

    async def never(url: str) -> Any:
        nonlocal asked, at_once
        asked, at_once = asked + 1, max(at_once, asked + 1)
        try:
            await asyncio.Event().wait()
        finally:
            asked -= 1

    issuers = [f"https://issuer-{number}.example" for number in range(4)]
    members = [
        JWKSVerifier(issuer=each, audience=None, fetch=never, timeout=0.5) for each in issuers
    ]

    async def start() -> None:
        app = protected(IssuersVerifier(members))
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(start())
    assert at_once == len(members)
    assert len(errors_in(caplog)) == 4
    assert all("gave no answer in time" in each for each in errors_in(caplog))


@pytest.mark.parametrize("told", [None, True, "5", -1, float("inf"), float("nan")])
def test_verifier_whose_timeout_is_no_number_of_seconds_has_five(told: Any) -> None:
    assert timeout_of(Warmable(nothing, timeout=told)) == 5


def test_server_that_stops_while_it_starts_is_not_kept() -> None:
    async def stop() -> None:
        app = protected(Warmable(hangs, timeout=60))
        async with asyncio.timeout(0.1), app.router.lifespan_context(app):
            raise AssertionError

    with pytest.raises(TimeoutError):
        asyncio.run(stop())


def test_error_after_the_start_has_gone_on_is_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    async def fails_late() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("canary") from None

    with TestClient(protected(Warmable(fails_late, timeout=0.05))) as client:
        assert client.get("/open").status_code == 200
    assert "canary" not in caplog.text
    assert len(errors_in(caplog)) == 1


def test_app_on_another_event_loop_starts_without() -> None:
    pytest.importorskip("trio")
    issuer = Issuer()

    async def start() -> None:
        app = protected(issuer.verifier())
        async with app.router.lifespan_context(app):
            pass

    anyio.run(start, backend="trio")
    assert issuer.fetches == 0
