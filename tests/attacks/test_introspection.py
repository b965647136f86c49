"""Whoever brings an opaque token, or stands in for its issuer, wants more than that."""

import base64
import logging
import traceback
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus

import pytest

from fastapi_scopes.errors import ConfigurationError, ScopesError
from fastapi_scopes.verifiers import IntrospectionVerifier
from tests.issuers.answers import Answer
from tests.issuers.faults import REDIRECTS, redirect
from tests.issuers.faulty import FaultyIssuer
from tests.issuers.server import Server
from tests.verifiers.introspecting import (
    SETTINGS,
    UNAVAILABLE,
    answer_to,
    answers_to,
    claims_from,
    make_introspecting,
    make_issuer,
)
from tests.verifiers.minting import NOW

CANARY = "canary-0123456789"


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    """An issuer whose tokens are good from NOW on for ten minutes."""
    with make_issuer() as issuer:
        yield issuer


@pytest.mark.parametrize("code", REDIRECTS)
@pytest.mark.parametrize("place", ["same-path", "same-host", "another-host"])
def test_redirect_takes_neither_secret_nor_token_along(
    issuer: FaultyIssuer, place: str, code: int
) -> None:
    with Server() as other:
        there = {
            "same-path": issuer.introspection,
            "same-host": issuer.resource("/elsewhere"),
            "another-host": other.resource("/introspect"),
        }[place]
        if place != "same-path":
            there.switch(Answer.json({"active": True, "iss": issuer.identifier}))
        issuer.introspection.switch(redirect(there.url, code=code), lambda good: good)

        assert answer_to(make_introspecting(issuer), issuer.mint_opaque("a")) == UNAVAILABLE
        assert there.count == (1 if place == "same-path" else 0)
        assert issuer.introspection.count == 1


@pytest.mark.parametrize("cache_size", [1, 4])
def test_flood_of_invented_tokens_drives_no_good_one_out(
    issuer: FaultyIssuer, cache_size: int
) -> None:
    verifier = make_introspecting(issuer, cache_size=cache_size)
    good = [issuer.mint_opaque("a") for _ in range(cache_size)]
    invented = [f"invented-{number}" for number in range(20)]

    assert answers_to(verifier, *good) == ["accept"] * cache_size
    assert answers_to(verifier, *invented) == ["inactive"] * 20
    issuer.stop()
    assert answers_to(verifier, *good) == ["accept"] * cache_size
    # Of the invented ones only the last are known any more.
    known = ["inactive" if each in invented[-cache_size:] else UNAVAILABLE for each in invented]
    assert answers_to(verifier, *reversed(invented)) == [*reversed(known)]


ODD: Mapping[str, Any] = {
    "none": None,
    "number": 1,
    "bytes": b"a-token",
    "list": ["a-token"],
    "empty": "",
    "space": " ",
    "leading-space": " a-token",
    "two": "a-token another",
    "line-break": "a-token\n",
    "tab": "a\ttoken",
    "nul": "a\0token",
    "latin-1": "t\u00f6ken",
    "digits-of-another-script": "\u0661\u0662\u0663",
    "surrogate": "a\ud800token",
    "quote": 'a"token',
    "ampersand": "a-token&token=another",
    "percent": "a%20token",
    "padding-in-the-middle": "a=b",
    "only-padding": "==",
    "too-long": "A" * 16_385,
    "much-too-long": "A" * 20_000,
}


@pytest.mark.parametrize("token", ODD.values(), ids=ODD)
def test_text_that_is_no_token_makes_nobody_ask(issuer: FaultyIssuer, token: Any) -> None:
    assert answers_to(make_introspecting(issuer), token, token) in (
        ["malformed"] * 2,
        ["too_large"] * 2,
    )
    assert issuer.introspection.count == 0


def test_caller_that_changes_its_claims_changes_none_of_the_next_request(
    issuer: FaultyIssuer,
) -> None:
    verifier = make_introspecting(issuer)
    token = issuer.mint_opaque("a", aud=[issuer.audience], org={"roles": ["reader"]})
    first = claims_from(verifier, token)
    told = first.model_copy(deep=True)

    object.__setattr__(first, "scopes", frozenset({"admin"}))
    extra: Any = first.model_extra
    extra["org"]["roles"].append("admin")
    extra["scope"] = "admin"
    audiences: Any = first.aud
    audiences.clear()

    assert claims_from(verifier, token) == told
    assert issuer.introspection.count == 1


def secrets_of(token: str, client_id: str, secret: str) -> list[str]:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
    return [token, secret, quote_plus(secret), base64.b64encode(pair).decode()]


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


FAULTS: Mapping[str, Any] = {
    "active": lambda good: good,
    "inactive": Answer.json({"active": False}),
    "no-json": lambda good: good.with_body(b"{" + good.body),
    "echo": lambda good: good.with_body(f"{CANARY}-body".encode()),
    "html": Answer.html(status=502),
    "not-http": lambda good: good.declaring(f"many-{CANARY}-body"),
    "redirect": redirect(f"https://as.example/{CANARY}-body"),
    "slow": lambda good: good.late(5),
    "wrong-claims": lambda good: good.with_document({**good.document, "sub": [CANARY]}),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_neither_token_nor_secret_is_ever_quoted(
    issuer: FaultyIssuer, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    token, client_id, secret = f"{CANARY}-token", f"{CANARY}-client", f"{CANARY} secret:+/="
    settings = {"client_id": client_id, "client_secret": secret, "timeout": 0.2}
    verifier = make_introspecting(issuer, **settings)
    issuer.introspection.switch(fault)

    text = repr(verifier) + repr(vars(verifier))
    with caplog.at_level(logging.DEBUG):
        try:
            text += repr(claims_from(verifier, token))
        except ScopesError as error:
            text += shown(error)
    own = [each.getMessage() for each in caplog.records if each.name == "fastapi_scopes"]

    for each in secrets_of(token, client_id, secret):
        assert each not in text + caplog.text
    # What an issuer answers may be anybody's words.
    assert CANARY not in "".join(own)


def test_query_of_the_endpoint_is_in_no_message(
    issuer: FaultyIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = f"{issuer.introspection.url}?key={CANARY}"
    verifier = make_introspecting(issuer, endpoint=endpoint)
    issuer.stop()

    with caplog.at_level(logging.WARNING):
        assert answer_to(verifier, "a-token") == UNAVAILABLE
    assert caplog.messages == [f"no introspection at {issuer.introspection.url}: ConnectError"]
    assert repr(verifier) == f"<IntrospectionVerifier at {issuer.introspection.url}>"


@pytest.mark.parametrize(
    "config",
    [
        {"client_secret": [CANARY]},
        {"client_secret": CANARY, "client_id": None},
        {"client_id": CANARY.encode()},
        {"endpoint": f"ftp://{CANARY}/"},
        {"endpoint": f"https://user:{CANARY}@as.example/"},
        {"timeout": CANARY},
        {"issuer": CANARY.encode()},
        {"cache_ttl": CANARY},
        {"revocations": CANARY},
        {"proof": CANARY},
        {"claims_model": CANARY},
        {"client_secret": f"{CANARY}\ud800"},
    ],
    ids=str,
)
def test_secret_under_the_wrong_keyword_is_never_quoted(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        IntrospectionVerifier(**{**SETTINGS, **config})

    assert CANARY not in shown(caught.value)


def test_issuer_that_answers_for_another_is_not_believed(issuer: FaultyIssuer) -> None:
    partner = "https://partner.example"
    told = {"active": True, "iss": partner, "aud": issuer.audience, "exp": NOW + 600}
    issuer.introspection.switch(Answer.json({**told, "scope": "admin"}))

    assert answer_to(make_introspecting(issuer), "a-token") == "issuer"
    lax = make_introspecting(issuer, issuer=None, allowed_scopes=["app:*"])
    assert claims_from(lax, "a-token").scopes == frozenset()
