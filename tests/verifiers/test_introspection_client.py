"""How an introspection verifier asks: who it says it is, over which connections, and for whom."""

import asyncio
import gc
import threading
import warnings
import weakref
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fastapi_scopes import PUBLIC, ScopeGuard
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.verifiers import IntrospectionVerifier
from tests.doors import DOORS, Door
from tests.issuers.answers import Answer
from tests.issuers.faulty import CLIENT_ID, CLIENT_SECRET, FaultyIssuer, client_of
from tests.verifiers.introspecting import (
    SETTINGS,
    UNAVAILABLE,
    answer_to,
    answers_to,
    make_introspecting,
)
from tests.verifiers.publishing import outcome_of

CLIENTS: Mapping[str, tuple[str, str]] = {
    "plain": ("a-client", "a-secret"),
    "registered": (CLIENT_ID, CLIENT_SECRET),
    "url": ("https://api.example/resource?x=1&y=2#z", "https://secret.example:443/"),
    "colons": ("a:b", "c:d:e"),
    "percent": ("100%", "%41%"),
    "plus-and-space": ("a+b c", " + "),
    "base64": ("YQ==", "ab+/cd=="),
    "quotes": ("a\"b'c", "\\\"'`"),
    "tilde-and-star": ("a~b*c", "-._~!$&'()*,;="),
    "umlaut": ("m\u00fcller", "stra\u00dfe"),
    "beyond-latin-1": ("\u20ac", "\u043f\u0430\u0440\u043e\u043b\u044c"),
    "emoji": ("\U0001f511", "\U0001f510"),
    "line-break": ("a\r\nX-Injected: 1", "b\r\n\r\nGET / HTTP/1.1"),
    "nul": ("a\0b", "c\0d"),
}


@pytest.mark.parametrize(("client_id", "secret"), CLIENTS.values(), ids=CLIENTS)
def test_client_is_known_by_its_very_id_and_secret(
    issuer: FaultyIssuer, client_id: str, secret: str
) -> None:
    verifier = make_introspecting(issuer, client_id=client_id, client_secret=secret)
    issuer.introspection.switch(Answer.json({"active": False}))

    assert answer_to(verifier, "a-token") == "inactive"
    (request,) = issuer.introspection.requests
    assert client_of(request) == (client_id, secret)
    assert "x-injected" not in dict(request.fields)


@pytest.mark.parametrize(
    "change", [{"client_id": "another"}, {"client_secret": "another"}], ids=str
)
def test_client_that_the_issuer_does_not_know_is_an_outage(
    issuer: FaultyIssuer, change: dict[str, str]
) -> None:
    # It is no fault of whoever brings the token.
    verifier = make_introspecting(issuer, **change)

    assert answer_to(verifier, issuer.mint_opaque("a")) == UNAVAILABLE


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "answered 401; check client_id and client_secret"),
        (403, "answered 403; check client_id and client_secret"),
        (404, "answered 404"),
        (500, "answered 500"),
    ],
)
def test_client_that_is_refused_is_told_what_to_check(
    issuer: FaultyIssuer, status: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.introspection.switch(Answer(status))

    assert answer_to(make_introspecting(issuer), "a-token") == UNAVAILABLE
    assert caplog.messages == [f"no introspection at {issuer.introspection.url}: {said}"]


@pytest.mark.parametrize("token", ["a-token", "a+b/c==", "a.b~c_d-e", "A" * 16_384])
def test_token_arrives_as_it_is_and_in_the_body_alone(issuer: FaultyIssuer, token: str) -> None:
    issuer.tokens[token] = issuer.tokens[issuer.mint_opaque("a")]

    assert answer_to(make_introspecting(issuer), token) == "accept"
    (request,) = issuer.introspection.requests
    assert request.method == "POST"
    assert token not in f"{request.target} {request.fields}"
    assert request.values_of("accept") == ["application/json"]
    assert request.body.endswith(b"&token_type_hint=access_token")


def test_query_of_the_endpoint_is_kept(issuer: FaultyIssuer) -> None:
    verifier = make_introspecting(issuer, endpoint=f"{issuer.introspection.url}?realm=a%20b")

    assert answer_to(verifier, issuer.mint_opaque("a")) == "accept"
    assert issuer.introspection.requests[0].target.endswith("/introspect?realm=a%20b")


def test_loops_and_threads_share_a_verifier(issuer: FaultyIssuer) -> None:
    verifier = make_introspecting(issuer, cache_ttl=0)
    tokens = [issuer.mint_opaque("a"), "unknown"]
    found: list[list[str]] = []

    def ask() -> None:
        found.extend(answers_to(verifier, *tokens) for _ in range(3))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [["accept", "inactive"]] * 12


def test_many_tasks_share_a_verifier(issuer: FaultyIssuer) -> None:
    verifier = make_introspecting(issuer, cache_ttl=0)
    tokens = [issuer.mint_opaque("a", sub=f"user-{number}") for number in range(30)]

    async def ask() -> list[str]:
        claims = await asyncio.gather(*map(verifier.verify, tokens))
        await verifier.aclose()
        return [each.sub for each in claims]

    assert asyncio.run(ask()) == [f"user-{number}" for number in range(30)]


def test_request_that_is_cancelled_hinders_no_other(issuer: FaultyIssuer) -> None:
    verifier, token = make_introspecting(issuer), issuer.mint_opaque("a")

    async def ask() -> str:
        issuer.introspection.hold()
        task = asyncio.create_task(verifier.verify(token))
        await asyncio.to_thread(issuer.introspection.wait_for, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        issuer.introspection.release()
        answer = await outcome_of(verifier, token)
        await verifier.aclose()
        return answer

    assert asyncio.run(ask()) == "accept"


def test_loop_that_is_gone_is_not_kept(issuer: FaultyIssuer) -> None:
    verifier, loops = make_introspecting(issuer), []

    async def ask(verifier: Any) -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await outcome_of(verifier, f"token-{len(loops)}")

    # Nobody closes what these loops held.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(4):
            asyncio.run(ask(verifier))
        gc.collect()
        kept = [each for each in loops if each() is not None]
        del verifier
        gc.collect()

    assert len(kept) <= 1


def test_loop_that_was_left_in_the_middle_of_a_question_is_not_kept(issuer: FaultyIssuer) -> None:
    verifier, loops = make_introspecting(issuer, timeout=0.5), []
    issuer.introspection.hold()

    async def ask(token: str) -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        # The first is broken off by its timeout, the second by the end of the loop.
        assert await outcome_of(verifier, token) == UNAVAILABLE
        asking = asyncio.create_task(outcome_of(verifier, f"{token}-again"))
        await asyncio.to_thread(issuer.introspection.wait_for, 2 * len(loops))
        assert not asking.done()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for number in range(4):
            asyncio.run(ask(f"token-{number}"))
        gc.collect()

    assert sum(each() is not None for each in loops) <= 1
    issuer.introspection.release()
    assert answer_to(verifier, issuer.mint_opaque("a")) == "accept"


def test_connections_of_a_question_that_was_broken_off_are_closed_after_a_while(
    issuer: FaultyIssuer,
) -> None:
    verifier = make_introspecting(issuer, timeout=0.1)
    gc.collect()

    async def ask() -> None:
        issuer.introspection.hold()
        assert await outcome_of(verifier, "a-token") == UNAVAILABLE
        issuer.introspection.release()
        await asyncio.sleep(0.3)

    with warnings.catch_warnings(record=True) as leaks:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(ask())
        gc.collect()
    assert [str(each.message) for each in leaks] == []


def test_closed_verifier_leaves_no_connection_behind(issuer: FaultyIssuer) -> None:
    gc.collect()
    with warnings.catch_warnings(record=True) as leaks:
        warnings.simplefilter("always", ResourceWarning)
        assert answer_to(make_introspecting(issuer), issuer.mint_opaque("a")) == "accept"
        gc.collect()

    assert [str(each.message) for each in leaks] == []


def test_closed_verifier_may_be_used_and_closed_again(issuer: FaultyIssuer) -> None:
    verifier, token = make_introspecting(issuer, cache_ttl=0), issuer.mint_opaque("a")

    async def ask() -> list[str]:
        answers = []
        for _ in range(2):
            await verifier.aclose()
            answers.append(await outcome_of(verifier, token))
        await verifier.aclose()
        await verifier.aclose()
        return answers

    assert asyncio.run(ask()) == ["accept", "accept"]


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_outage_is_503_where_a_token_is_asked_for_and_nothing_elsewhere(
    issuer: FaultyIssuer, door: Door
) -> None:
    rules = {"GET /x": "a", "GET /open": PUBLIC}
    verifier = make_introspecting(issuer)
    app = door(ScopeGuard(rules, verifier=verifier))
    for path in ("/x", "/open"):
        app.add_api_route(path, lambda: "ran")
    headers = {"Authorization": f"Bearer {issuer.mint_opaque('a')}"}
    issuer.stop()

    with TestClient(app) as client:
        refused = client.get("/x", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (503, "verifier_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/x").status_code == 401
        assert client.get("/open", headers=headers).json() == "ran"
        issuer.start()
        assert client.get("/x", headers=headers).json() == "ran"
        assert client.portal is not None
        client.portal.call(verifier.aclose)


NOT_HTTPS = "endpoint is not https"
BAD: Mapping[str, tuple[dict[str, Any], str]] = {
    "endpoint-none": ({"endpoint": None}, "endpoint is no http or https URL"),
    "endpoint-empty": ({"endpoint": ""}, "endpoint is no http or https URL"),
    "endpoint-path": ({"endpoint": "/introspect"}, "endpoint is no http or https URL"),
    "endpoint-ftp": ({"endpoint": "ftp://as.example/x"}, "endpoint is no http or https URL"),
    "endpoint-port": ({"endpoint": "https://as.example:x/"}, "endpoint is no URL"),
    "endpoint-http": ({"endpoint": "http://127.0.0.1/x"}, NOT_HTTPS),
    "endpoint-http-elsewhere": ({"endpoint": "http://as.example/", "allow_http": True}, NOT_HTTPS),
    "endpoint-user": ({"endpoint": "https://u:p@as.example/"}, "endpoint has credentials"),
    "endpoint-fragment": ({"endpoint": "https://as.example/#x"}, "endpoint has credentials"),
    "allow-http-text": ({"allow_http": "no"}, "allow_http is no bool but a 'str'"),
    "id-empty": ({"client_id": ""}, "client_id is no text"),
    "id-none": ({"client_id": None}, "client_id is no text"),
    "id-bytes": ({"client_id": b"c"}, "client_id is no text"),
    "id-surrogate": ({"client_id": "\ud800"}, "client_id is no text"),
    "secret-empty": ({"client_secret": ""}, "client_secret is no text"),
    "secret-none": ({"client_secret": None}, "client_secret is no text"),
    "secret-surrogate": ({"client_secret": "\ud800"}, "client_secret is no text"),
    "timeout-zero": ({"timeout": 0}, "timeout is no number of seconds"),
    "timeout-negative": ({"timeout": -1}, "timeout is no number of seconds"),
    "timeout-true": ({"timeout": True}, "timeout is no number of seconds"),
    "timeout-text": ({"timeout": "5"}, "timeout is no number of seconds"),
    "timeout-none": ({"timeout": None}, "timeout is no number of seconds"),
    "timeout-nan": ({"timeout": float("nan")}, "timeout is no number of seconds"),
    "timeout-infinite": ({"timeout": float("inf")}, "timeout is no number of seconds"),
    "issuer-empty": ({"issuer": ""}, "issuer is no text"),
    "limits": ({"allowed_scopes": "a"}, "allowed_scopes is no list"),
    "revocations": ({"revocations": []}, "revocations is a 'list'"),
}


@pytest.mark.parametrize(("setting", "problem"), BAD.values(), ids=BAD)
def test_bad_setting_is_named_by_the_constructor(setting: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        IntrospectionVerifier(**{**SETTINGS, **setting})

    assert len(caught.value.problems) == 1
    assert problem in str(caught.value)


def test_every_bad_setting_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        IntrospectionVerifier(
            endpoint="",
            client_id="",
            client_secret="",
            issuer="",
            audience="",
            timeout=0,
            cache_ttl=-1,
            cache_size=-1,
        )

    assert len(caught.value.problems) == 8
