"""Verifiers of one issuer, told apart by the algorithm, as while it moves from HS256 to ES256."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fastapi_scopes import Claims, JWTVerifier, ScopeGuard
from fastapi_scopes.errors import ConfigurationError, VerifierUnavailable
from fastapi_scopes.verifiers import ANY_TENANT, Document, IssuersVerifier
from tests.attacks.test_several_issuers import (
    ADMIN,
    OUR_KEY,
    OURS,
    PARTNER,
    PARTNER_KEY,
    bearer,
    guarded,
)
from tests.doors import DOORS, Door
from tests.verifiers.kinds import make_published, outcome
from tests.verifiers.minting import CLAIMS, NOW, b64, der, ed25519_key, jwk, mint, mint_raw, pem
from tests.verifiers.publishing import looped
from tests.verifiers.verifying import make_verifier, verified

TENANT = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"
FAMILY = "https://login.microsoftonline.com/{tenantid}/v2.0"


def old(allowed: Any = None, *, issuer: str = OURS, **config: Any) -> Any:
    """The verifier of the tokens that the issuer signs with a secret."""
    return make_verifier(issuer=issuer, allowed_scopes=allowed, **config)


def new(allowed: Any = None, *, issuer: str = OURS, **config: Any) -> Any:
    """The verifier of the tokens that the same issuer signs with a key that it publishes."""
    settings = {"algorithms": ["ES256"], "issuer": issuer, "allowed_scopes": allowed, **config}
    return make_published(jwk(OUR_KEY, kid="ours"), **settings)


def newer(**config: Any) -> Any:
    """The verifier of a key that is published, and for no token yet."""
    return new(algorithms=["ES384"], **config)


def newest() -> Any:
    """The verifier of the tokens that it will sign next."""
    return make_verifier(pem(ed25519_key()), algorithms=["EdDSA"], issuer=OURS)


def by_secret(scope: str = ADMIN, **options: Any) -> str:
    return mint(**{"iss": OURS, "scope": scope, **options})


def by_key(scope: str = ADMIN, **options: Any) -> str:
    return mint(**{"iss": OURS, "scope": scope, "algorithm": "ES256", "key": OUR_KEY, **options})


SIDE_BY_SIDE: Mapping[str, Any] = {
    "old-and-new": lambda: [old(), new()],
    "new-and-old": lambda: [new(), old()],
    "three": lambda: [newest(), old(), new()],
    "beside-a-partner": lambda: [
        old(),
        make_verifier(pem(PARTNER_KEY), algorithms=["ES256"], issuer=PARTNER),
        new(),
    ],
}


def forged_header(header: Any, *, key: Any = None, algorithm: str = "HS256") -> str:
    text = header if isinstance(header, str) else json.dumps(header)
    payload = json.dumps({**CLAIMS, "iss": OURS})
    return mint_raw(b64(text), b64(payload), key=key, algorithm=algorithm)


def with_signature_of(token: str, header: Mapping[str, Any]) -> str:
    return f"{b64(json.dumps(header))}.{token.partition('.')[2]}"


FORGED: Mapping[str, tuple[str, str]] = {
    "partners-key": (by_key(key=PARTNER_KEY), "signature"),
    "partners-key-under-our-kid": (by_key(key=PARTNER_KEY, header={"kid": "ours"}), "signature"),
    "partners-issuer-by-our-secret": (mint(iss="https://nobody.example"), "issuer"),
    "secret-is-the-public-key": (by_secret(key=pem(OUR_KEY)), "signature"),
    "secret-is-the-public-key-as-der": (by_secret(key=der(OUR_KEY)), "signature"),
    "secret-is-the-public-jwk": (by_secret(key=json.dumps(jwk(OUR_KEY))), "signature"),
    "signed-by-the-key-named-hs256": (with_signature_of(by_key(), {"alg": "HS256"}), "signature"),
    "signed-by-the-secret-named-es256": (
        with_signature_of(by_secret(), {"alg": "ES256"}),
        "signature",
    ),
    "algorithm-twice": (forged_header('{"alg":"ES256","alg":"HS256"}'), "header"),
    "algorithm-twice-escaped": (forged_header('{"alg":"HS256","\\u0061lg":"HS256"}'), "header"),
    "algorithm-none": (forged_header({"alg": "none"}), "algorithm"),
    "algorithm-of-no-member": (by_key(header={"alg": "RS256"}), "algorithm"),
    "algorithm-in-lower-case": (forged_header({"alg": "hs256"}), "algorithm"),
    "algorithm-and-space": (forged_header({"alg": "HS256 "}), "algorithm"),
    "algorithm-null": (forged_header({"alg": None}), "algorithm"),
    "algorithm-number": (forged_header({"alg": 256}), "algorithm"),
    "algorithm-list": (forged_header({"alg": ["HS256"]}), "algorithm"),
    "algorithm-object": (forged_header({"alg": {"HS256": 1}}), "algorithm"),
    "algorithm-missing": (forged_header({"typ": "JWT"}), "algorithm"),
    "crit": (forged_header({"alg": "HS256", "crit": ["exp"]}), "header"),
    "header-list": (forged_header('["HS256"]'), "header"),
    "header-no-json": (forged_header("{'alg':'HS256'}"), "header"),
    "header-too-large": (forged_header({"alg": "HS256", "x": "y" * 2048}), "too_large"),
    "header-no-base64": ("!" + by_secret(), "malformed"),
    "junk": ("a.b.c", "malformed"),
    "dots": ("..", "payload"),
    "without-signature": (by_secret().rpartition(".")[0] + ".", "malformed"),
}


@pytest.mark.parametrize("members", SIDE_BY_SIDE.values(), ids=SIDE_BY_SIDE)
@pytest.mark.parametrize(("token", "answer"), FORGED.values(), ids=FORGED)
def test_algorithm_of_a_forged_token_chooses_who_refuses_it(
    members: Any, token: str, answer: str
) -> None:
    assert outcome(IssuersVerifier(members()), token) == answer


@pytest.mark.parametrize("members", SIDE_BY_SIDE.values(), ids=SIDE_BY_SIDE)
def test_algorithm_chooses_who_verifies_a_token(members: Any) -> None:
    verifier = IssuersVerifier(members())

    for _ in range(2):
        assert verified(verifier, by_secret(sub="old")).sub == "old"
        assert verified(verifier, by_key(sub="new")).sub == "new"
    assert outcome(verifier, by_secret(exp=NOW - 1)) == "expired"


def test_algorithm_that_is_one_of_three_members_is_no_others() -> None:
    token = mint(iss=OURS, algorithm="EdDSA")

    assert outcome(IssuersVerifier([newest(), old(), new()]), token) == "accept"
    assert outcome(IssuersVerifier([old(), new()]), token) == "algorithm"


@looped
async def test_outage_of_the_published_keys_keeps_no_token_of_the_secret_waiting() -> None:
    is_up = asyncio.Event()

    async def fetch(url: str) -> Document:
        await is_up.wait()
        raise OSError

    verifier = IssuersVerifier([new(fetch=fetch), old()])
    waiting = asyncio.create_task(verifier.verify(by_key()))
    await asyncio.sleep(0)
    for _ in range(2):
        assert (await verifier.verify(by_secret(sub="bob"))).sub == "bob"
    assert not waiting.done()
    is_up.set()
    with pytest.raises(VerifierUnavailable):
        await waiting
    assert (await verifier.verify(by_secret())).scopes == {ADMIN}


@looped
async def test_members_of_one_issuer_are_warmed_up_each() -> None:
    asked: list[str] = []

    async def fetch(url: str) -> Document:
        asked.append(url)
        raise OSError

    settings: Any = {"fetch": fetch, "timeout": 7}
    await (verifier := IssuersVerifier([new(**settings), old(), newer(**settings)])).warm_up()

    assert len(asked) == 2
    assert verifier.timeout == 7


def test_outage_of_one_members_revocation_list_is_not_the_others() -> None:
    class Down:
        async def is_revoked(self, issuer: str | None, jti: str) -> bool:
            raise VerifierUnavailable

    verifier = IssuersVerifier([old(revocations=Down()), new()])

    assert outcome(verifier, by_secret(jti="1")) == "unavailable"
    assert outcome(verifier, by_key(jti="1")) == "accept"


def test_limits_are_those_of_the_member_that_verified() -> None:
    verifier = IssuersVerifier([old(["app:read"]), new(["app:*"])])

    assert verified(verifier, by_secret("app:read app:write b")).scopes == {"app:read"}
    assert verified(verifier, by_key("app:read app:write b")).scopes == {"app:read", "app:write"}


LISTING: Mapping[str, tuple[Any, Any]] = {
    "old-lists": ([ADMIN], None),
    "new-lists": (None, [ADMIN]),
    "new-lists-and-old-has-a-wildcard": (["app:*"], [ADMIN]),
    "old-lists-and-new-has-a-wildcard": ([ADMIN], ["app:*"]),
    "both-list": ([ADMIN], [ADMIN, "app:*"]),
}


def statuses(client: TestClient, *tokens: str) -> list[int]:
    return [client.get("/x", headers=bearer(token)).status_code for token in tokens]


def expected(*allowed: Any) -> list[int]:
    return [200 if ADMIN in (each or ()) else 403 for each in allowed]


@pytest.mark.parametrize("allowed", LISTING.values(), ids=LISTING)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_admin_scope_counts_from_the_member_that_lists_it(door: Door, allowed: Any) -> None:
    verifier = IssuersVerifier([old(allowed[0]), new(allowed[1])])
    client = TestClient(guarded(door, verifier, {"GET /x": "app:delete"}))

    for _ in range(2):
        assert statuses(client, by_secret(), by_key()) == expected(*allowed)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_nobody_behind_the_guard_sees_the_admin_scope_of_the_other_member(door: Door) -> None:
    verifier = IssuersVerifier([old(), new([ADMIN])])
    client = TestClient(guarded(door, verifier, {"GET /x": []}))

    for token, held in ((by_secret(), []), (by_key(), [ADMIN])):
        seen = client.get("/x", headers=bearer(token)).json()
        assert (seen["claims"], seen["claims_of"]) == (held, held)


def test_admin_scopes_of_two_guards_count_each_by_its_own_listing() -> None:
    verifier = IssuersVerifier([old([ADMIN]), new(["app:root"])])
    clients = {}
    for admin_scope in (ADMIN, "app:root"):
        guard = ScopeGuard({"GET /x": "app:delete"}, verifier=verifier, admin_scope=admin_scope)
        app = DOORS["perimeter"](guard)
        app.add_api_route("/x", lambda: "ran")
        clients[admin_scope] = TestClient(app)
    tokens = [make(scope) for scope in (ADMIN, "app:root") for make in (by_secret, by_key)]

    for _ in range(2):
        assert statuses(clients[ADMIN], *tokens) == [200, 403, 403, 403]
        assert statuses(clients["app:root"], *tokens) == [403, 403, 403, 200]


def test_member_that_stands_alone_elsewhere_is_limited_only_where_it_does_not() -> None:
    member, rules = old(), {"GET /x": "app:delete"}
    alone = TestClient(guarded(DOORS["dependency"], member, rules))
    both = IssuersVerifier([member, new([ADMIN])])
    shared = TestClient(guarded(DOORS["dependency"], both, rules))

    for _ in range(2):
        assert statuses(alone, by_secret()) == [200]
        assert statuses(shared, by_secret(), by_key()) == [403, 200]


class Copying(IssuersVerifier[Claims]):
    async def verify(self, token: str) -> Claims:
        return await super().verify(token)


class Wrapping:
    def __init__(self, members: Any) -> None:
        self.inner = IssuersVerifier[Claims](members)

    def issuers_granting(self, scope: str) -> frozenset[str] | None:
        return self.inner.issuers_granting(scope)

    async def verify(self, token: str) -> Claims:
        return await self.inner.verify(token)


@pytest.mark.parametrize("wrap", [Copying, Wrapping])
@pytest.mark.parametrize("allowed", LISTING.values(), ids=LISTING)
def test_issuer_of_claims_made_anew_counts_where_all_of_its_members_list(
    wrap: Any, allowed: Any
) -> None:
    verifier = wrap([old(allowed[0]), new(allowed[1])])
    client = TestClient(guarded(DOORS["perimeter"], verifier, {"GET /x": "app:delete"}))

    status = 403 if 403 in expected(*allowed) else 200
    assert statuses(client, by_secret(), by_key()) == [status, status]


def test_override_counts_by_its_issuer() -> None:
    for allowed in LISTING.values():
        verifier = IssuersVerifier([old(allowed[0]), new(allowed[1])])
        guard = ScopeGuard({"GET /x": "app:delete"}, verifier=verifier, admin_scope=ADMIN)
        app = DOORS["perimeter"](guard)
        app.add_api_route("/x", lambda: "ran")
        app.dependency_overrides[guard] = lambda: Claims(exp=1, iss=OURS, scopes=frozenset({ADMIN}))
        status = 403 if 403 in expected(*allowed) else 200
        assert TestClient(app).get("/x").status_code == status


def test_guard_whose_admin_scope_no_member_lists_does_not_start() -> None:
    verifier = IssuersVerifier([old(["app:*"]), new()])
    with pytest.raises(ConfigurationError, match=f"{ADMIN!r} counts from no issuer"):
        ScopeGuard({"GET /x": []}, verifier=verifier, admin_scope=ADMIN)


def test_verifier_that_names_issuers_itself_is_taken_by_its_word() -> None:
    class Ours(JWTVerifier[Claims]):
        def issuers_granting(self, scope: str) -> frozenset[str] | None:
            return frozenset({OURS})

    settings: Any = {"algorithms": ["ES256"], "audience": None, "now": lambda: NOW}
    verifier = Ours(keys=[pem(OUR_KEY)], issuer=[OURS, PARTNER], allowed_scopes=[ADMIN], **settings)
    client = TestClient(guarded(DOORS["perimeter"], verifier, {"GET /x": "app:delete"}))

    assert statuses(client, by_key(), by_key(iss=PARTNER)) == [200, 403]


@pytest.mark.parametrize("allowed", LISTING.values(), ids=LISTING)
def test_admin_scope_of_a_family_counts_from_the_member_that_lists_it(allowed: Any) -> None:
    issuer = FAMILY.replace("{tenantid}", TENANT)
    tenants = {"issuer": FAMILY, "tenants": ANY_TENANT}
    verifier = IssuersVerifier([old(allowed[0], issuer=issuer), new(allowed[1], **tenants)])
    client = TestClient(guarded(DOORS["perimeter"], verifier, {"GET /x": "app:delete"}))
    other = TENANT.replace("6", "7")
    foreign = by_key(iss=FAMILY.replace("{tenantid}", other), tid=other)

    assert statuses(client, by_secret(iss=issuer), foreign) == expected(*allowed)
    # The tenant that has a verifier of its own has no other.
    assert statuses(client, by_key(iss=issuer, tid=TENANT)) == [401]
