"""Tokens that only their issuer can read (RFC 7662): what it says, and what is wrong with it."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from pydantic import model_validator

from fastapi_scopes import ScopeGuard
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import ConfigurationError, TokenError
from fastapi_scopes.verifiers import IntrospectionVerifier
from fastapi_scopes.verifiers.base import SharedClaims
from tests.issuers.answers import Behaviour, Framing
from tests.issuers.faults import (
    BROKEN_CONNECTIONS,
    BROKEN_DOCUMENTS,
    HUGE,
    KEY_SET_LIMIT,
    REFUSED_STATUSES,
    SLOW,
    doubled,
    html_typed,
    members,
    nested,
    padded,
    without,
)
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.introspecting import (
    SETTINGS,
    UNAVAILABLE,
    answer_to,
    answers_to,
    claims_from,
    make_introspecting,
)
from tests.verifiers.minting import NOW
from tests.verifiers.publishing import Clock


def test_claims_are_what_the_issuer_says(issuer: FaultyIssuer) -> None:
    token = issuer.mint_opaque("a:read", "b", username="alice@example", jti="one")

    claims = claims_from(make_introspecting(issuer), token)

    assert type(claims) is Claims
    assert claims.model_dump() == {
        "iss": issuer.identifier,
        "aud": issuer.audience,
        "sub": "alice",
        "client_id": "a-client",
        "iat": NOW,
        "nbf": None,
        "exp": NOW + 600,
        "jti": "one",
        "scope": "a:read b",
        "scopes": frozenset({"a:read", "b"}),
        "active": True,
        "token_type": "Bearer",
        "username": "alice@example",
    }


class Account(Claims):
    account: int


def test_claims_of_your_own_are_read(issuer: FaultyIssuer) -> None:
    verifier = make_introspecting(issuer, claims_model=Account, scopes_claim="permissions")
    token = issuer.mint_opaque(account=7, permissions=["x"])

    claims = claims_from(verifier, token)

    assert (claims.account, claims.scopes) == (7, {"x"})  # type: ignore[attr-defined]
    assert answer_to(verifier, issuer.mint_opaque(account="x")) == "claims"


def test_model_that_refuses_once_gets_the_claims_anew(issuer: FaultyIssuer) -> None:
    asked: list[object] = []

    class Hesitant(Claims):
        @model_validator(mode="before")
        @classmethod
        def hesitate(cls, claims: dict[str, object]) -> dict[str, object]:
            asked.append(claims.pop("sub"))
            if len(asked) == 1:
                raise ValueError
            return claims | {"sub": asked[-1]}

    verifier = make_introspecting(issuer, claims_model=Hesitant)
    token = issuer.mint_opaque(sub="alice")

    assert answers_to(verifier, token, token) == ["claims", "accept"]
    assert asked == ["alice", "alice"]
    assert issuer.introspection.count == 1


ACTIVE: Mapping[str, Behaviour] = {
    "false": members(active=False),
    "text": members(active="true"),
    "capital": members(active="True"),
    "one": members(active=1),
    "one-point-zero": members(active=1.0),
    "list": members(active=[True]),
    "object": members(active={"active": True}),
    "null": members(active=None),
    "missing": without("active"),
    "another-case": lambda good: members(Active=True)(without("active")(good)),
    "error-document": BROKEN_DOCUMENTS["error-document"],
}


@pytest.mark.parametrize("behaviour", ACTIVE.values(), ids=ACTIVE)
def test_active_is_strictly_true(issuer: FaultyIssuer, behaviour: Behaviour) -> None:
    issuer.introspection.switch(behaviour)

    assert answer_to(make_introspecting(issuer), issuer.mint_opaque("a")) == "inactive"


MEMBERS: Mapping[str, tuple[Behaviour, str]] = {
    "issuer-of-another": (members(iss="https://issuer.example"), "issuer"),
    "issuer-missing": (without("iss"), "issuer"),
    "issuer-null": (members(iss=None), "issuer"),
    "issuer-list": (lambda good: members(iss=[good.document["iss"]])(good), "issuer"),
    "audience-of-another": (members(aud="https://other.example"), "audience"),
    "audience-missing": (without("aud"), "audience"),
    "audience-empty": (members(aud=[]), "audience"),
    "audience-among-others": (members(aud=["x", "https://api.example"]), "accept"),
    "audience-with-number": (members(aud=["https://api.example", 1]), "audience"),
    "exp-missing": (without("exp"), "claims"),
    "exp-null": (members(exp=None), "claims"),
    "exp-text": (members(exp=str(NOW + 600)), "claims"),
    "exp-true": (members(exp=True), "claims"),
    "exp-past": (members(exp=NOW), "expired"),
    "exp-fraction": (members(exp=NOW + 0.5), "accept"),
    "nbf-future": (members(nbf=NOW + 11), "not_yet_valid"),
    "iat-future": (members(iat=NOW + 11), "not_yet_valid"),
    "cnf": (members(cnf={"jkt": "x"}), "confirmation"),
    "cnf-null": (members(cnf=None), "accept"),
    "sub-number": (members(sub=7), "claims"),
    "sub-null": (members(sub=None), "accept"),
    "jti-list": (members(jti=["one"]), "claims"),
    "client-id-number": (members(client_id=7), "claims"),
    "scope-missing": (without("scope"), "accept"),
    "scope-null": (members(scope=None), "accept"),
    "scope-list": (members(scope=["a", "b"]), "accept"),
    "scope-number": (members(scope=1), "scopes"),
    "scope-object": (members(scope={"a": True}), "accept"),
    "scope-list-with-number": (members(scope=["a", 1]), "accept"),
    "scope-outside-the-grammar": (members(scope='a "b"'), "scopes"),
    "scopes-of-its-own": (members(scopes=["admin"]), "accept"),
    "id-token": (members(token_use="id"), "type"),
}


KINDS_OF_TOKEN: Mapping[str, tuple[Behaviour, str]] = {
    "bearer": (members(token_type="Bearer"), "accept"),
    "bearer-in-capitals": (members(token_type="BEARER"), "accept"),
    "not-said": (without("token_type"), "accept"),
    "access-token": (members(token_use="access_token"), "accept"),
    "hydra-refresh": (members(token_type="Bearer", token_use="refresh_token"), "type"),
    "keycloak-refresh": (members(typ="Refresh"), "type"),
    "keycloak-offline": (members(typ="Offline"), "type"),
    "refresh": (members(token_type="refresh_token"), "type"),
    "not-applicable": (members(token_type="N_A"), "type"),
    "mac": (members(token_type="mac"), "type"),
    "dpop-without-a-key": (members(token_type="DPoP"), "type"),
    "dpop": (members(token_type="DPoP", cnf={"jkt": "x"}), "confirmation"),
    "null": (members(token_type=None), "accept"),
    "list": (members(token_type=["Bearer"]), "type"),
    "empty": (members(token_type=""), "type"),
}


@pytest.mark.parametrize(("behaviour", "answer"), KINDS_OF_TOKEN.values(), ids=KINDS_OF_TOKEN)
def test_token_is_an_access_token_that_its_bearer_may_use(
    issuer: FaultyIssuer, behaviour: Behaviour, answer: str
) -> None:
    issuer.introspection.switch(behaviour)

    assert answer_to(make_introspecting(issuer), issuer.mint_opaque("a")) == answer


@pytest.mark.parametrize(("behaviour", "answer"), MEMBERS.values(), ids=MEMBERS)
def test_answer_is_judged_as_a_payload_is(
    issuer: FaultyIssuer, behaviour: Behaviour, answer: str
) -> None:
    issuer.introspection.switch(behaviour)

    assert answer_to(make_introspecting(issuer), issuer.mint_opaque("a")) == answer


@pytest.mark.parametrize("member", ["scopes", "scp", "permissions"])
def test_member_of_another_name_grants_nothing(issuer: FaultyIssuer, member: str) -> None:
    token = issuer.mint_opaque("a", **{member: ["admin"]})

    assert claims_from(make_introspecting(issuer), token).scopes == {"a"}


SOUND: Mapping[str, Behaviour] = {
    "in-chunks": lambda good: good.framed(Framing.CHUNKED),
    "without-length": lambda good: good.framed(Framing.CLOSE),
    "largest-body": padded(KEY_SET_LIMIT),
    "unknown-members": members(**{"x-issued": [{"by": None}]}),
    "typed-as-html": html_typed,
    "not-to-be-kept": lambda good: good.cached("no-store"),
}


@pytest.mark.parametrize("behaviour", SOUND.values(), ids=SOUND)
def test_sound_answer_is_taken_however_it_is_sent(
    issuer: FaultyIssuer, behaviour: Behaviour
) -> None:
    issuer.introspection.switch(behaviour)

    assert answer_to(make_introspecting(issuer), issuer.mint_opaque("a")) == "accept"


FAULTS: Mapping[str, Behaviour] = {
    **REFUSED_STATUSES,
    **BROKEN_CONNECTIONS,
    **HUGE,
    **{name: each for name, each in BROKEN_DOCUMENTS.items() if name not in ACTIVE},
    "active-twice": doubled("active", False),
    "scope-twice": doubled("scope", "admin"),
    "nested": nested(2_000),
    "status-201": lambda good: good.with_status(201),
    "status-203": lambda good: good.with_status(203),
    "status-206": lambda good: good.with_status(206),
    "gzip": lambda good: good.gzipped(),
}


@pytest.mark.parametrize("behaviour", FAULTS.values(), ids=FAULTS)
def test_fault_is_an_outage_and_over_with_its_cause(
    issuer: FaultyIssuer, behaviour: Behaviour
) -> None:
    verifier, token = make_introspecting(issuer), issuer.mint_opaque("a")

    issuer.introspection.switch(behaviour)
    assert answer_to(verifier, token) == UNAVAILABLE
    issuer.introspection.heal()
    assert answer_to(verifier, token) == "accept"


@pytest.mark.parametrize("behaviour", SLOW.values(), ids=SLOW)
def test_issuer_that_takes_too_long_is_an_outage(
    issuer: FaultyIssuer, behaviour: Behaviour
) -> None:
    verifier = make_introspecting(issuer, timeout=0.15)

    issuer.introspection.switch(behaviour)
    assert answer_to(verifier, issuer.mint_opaque("a")) == UNAVAILABLE
    issuer.introspection.wait_until_idle()


def test_issuer_that_is_down_is_an_outage(issuer: FaultyIssuer) -> None:
    verifier, token = make_introspecting(issuer), issuer.mint_opaque("a")

    issuer.stop()
    assert answers_to(verifier, token, token) == [UNAVAILABLE, UNAVAILABLE]
    issuer.start()
    assert answer_to(verifier, token) == "accept"


def test_connection_that_breaks_between_two_requests_is_made_anew(issuer: FaultyIssuer) -> None:
    verifier, token = make_introspecting(issuer, cache_ttl=0), issuer.mint_opaque("a")
    issuer.introspection.switch(lambda good: good, lambda good: good.framed(Framing.CLOSE))

    assert answers_to(verifier, token, token, token) == ["accept"] * 3


WITHOUT_EXP: Mapping[str, Behaviour] = {"missing": without("exp"), "null": members(exp=None)}


@pytest.mark.parametrize("ttl", [0, 10])
@pytest.mark.parametrize("behaviour", WITHOUT_EXP.values(), ids=WITHOUT_EXP)
def test_token_without_an_end_is_taken_where_that_is_permitted(
    issuer: FaultyIssuer, behaviour: Behaviour, ttl: int
) -> None:
    issuer.introspection.switch(behaviour)
    clock, token = Clock(), issuer.mint_opaque("a")
    verifier = make_introspecting(issuer, now=clock, allow_no_exp=True, cache_ttl=ttl)

    claims = claims_from(verifier, token)
    assert (claims.exp, claims.scopes) == (NOW + ttl, {"a"})
    clock.move(9)
    assert claims_from(verifier, token).exp == (NOW + 10 if ttl else NOW + 9)
    clock.move(1)
    assert answer_to(verifier, token) == "accept"
    assert issuer.introspection.count == (2 if ttl else 3)


def test_end_that_is_there_counts_where_none_is_permitted_too(issuer: FaultyIssuer) -> None:
    verifier = make_introspecting(issuer, allow_no_exp=True)

    assert claims_from(verifier, issuer.mint_opaque("a", exp=NOW + 5)).exp == NOW + 5
    issuer.introspection.switch(members(exp=NOW))
    assert answer_to(verifier, issuer.mint_opaque("a")) == "expired"
    issuer.introspection.switch(members(exp="never"))
    assert answer_to(verifier, issuer.mint_opaque("a")) == "claims"


class Wrapped:
    """A verifier of the application around one of ours."""

    def __init__(self, inner: IntrospectionVerifier) -> None:
        self.inner = inner

    async def verify(self, token: str) -> Claims:
        return await self.inner.verify(token)


@pytest.mark.parametrize("wrap", [lambda each: each, Wrapped], ids=["ours", "wrapped"])
@pytest.mark.parametrize("has_exp", [True, False])
def test_connection_without_an_end_is_left_alone(
    issuer: FaultyIssuer, has_exp: bool, wrap: Callable[[IntrospectionVerifier], Any]
) -> None:
    verifier = wrap(make_introspecting(issuer, allow_no_exp=True))
    if not has_exp:
        issuer.introspection.switch(without("exp"))
    clock = Clock()
    guard = ScopeGuard({"GET /": []}, verifier=verifier, end_at_exp=True, now=clock)
    app = FastAPI(openapi_url=None)

    @app.get("/")
    async def chunks() -> StreamingResponse:
        async def stream() -> AsyncIterator[bytes]:
            yield b"first "
            clock.move(3600)
            yield b"second"

        return StreamingResponse(stream())

    client = TestClient(guard.protect(app))
    answer = client.get("/", headers={"Authorization": f"Bearer {issuer.mint_opaque('a')}"})

    assert answer.text == ("first " if has_exp else "first second")


def test_answer_without_exp_is_refused_with_what_to_write(issuer: FaultyIssuer) -> None:
    verifier, token = make_introspecting(issuer), issuer.mint_opaque("a", exp=None)

    # The second refusal is the one that was kept.
    for _ in range(2):
        with pytest.raises(TokenError) as raised:
            claims_from(verifier, token)
        assert (
            raised.value.reason == "claims, there is no 'exp'; allow_no_exp=True takes such tokens"
        )


def test_flag_that_is_no_bool_is_named() -> None:
    with pytest.raises(ConfigurationError, match="allow_no_exp is no bool"):
        IntrospectionVerifier(**SETTINGS, allow_no_exp="no")  # type: ignore[arg-type]


def test_end_that_the_issuer_did_not_say_is_no_field_that_was_set(issuer: FaultyIssuer) -> None:
    verifier = make_introspecting(issuer, allow_no_exp=True)
    issuer.introspection.switch(without("exp"))

    claims = claims_from(verifier, issuer.mint_opaque("a"))
    assert claims.exp == NOW + 10
    assert "exp" not in claims.model_fields_set


def test_default_of_a_model_is_an_end() -> None:
    class Short(Claims):
        exp: int = 7

    assert not SharedClaims(Short()).is_endless
    assert not SharedClaims(Short(exp=8)).is_endless
    assert not SharedClaims(Claims(exp=8)).is_endless
