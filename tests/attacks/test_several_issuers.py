"""One of several issuers tries to be more than it is."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient

from fastapi_scopes import Claims, ScopeGuard
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.verifiers import ANY_TENANT, IssuersVerifier
from tests.apps import bind_state
from tests.doors import DOORS, Door
from tests.verifiers.kinds import make_published, outcome
from tests.verifiers.minting import CLAIMS, NOW, ec_key, jwk, mint, pem
from tests.verifiers.verifying import make_verifier, verified

OURS, PARTNER = "https://login.example", "https://partner.example"
ADMIN = "app:superadmin"
OUR_KEY, PARTNER_KEY = ec_key(name="ours"), ec_key(name="partner")
LIMITS: Mapping[str, Any] = {
    "limited": ["app:read"],
    "unlimited": None,
    "limited-to-a-wildcard": ["app:*"],
    "limited-to-nothing": [],
}


def make_verifiers(
    partner: Any = None, *, ours: Any = (ADMIN, "app:*"), published: bool = False
) -> IssuersVerifier[Any]:
    """Ours and the partner's, limited to what is given; each key has a `kid` of its own."""
    reach = {OURS: (OUR_KEY, "ours", ours), PARTNER: (PARTNER_KEY, "partners", partner)}
    members = [
        make_published(jwk(key, kid=kid), issuer=issuer, allowed_scopes=allowed)
        if published
        else make_verifier(
            jwk(key, kid=kid), algorithms=["ES256"], issuer=issuer, allowed_scopes=allowed
        )
        for issuer, (key, kid, allowed) in reach.items()
    ]
    return IssuersVerifier(members)


def sign(issuer: Any, scope: str = ADMIN, *, key: Any = PARTNER_KEY, **options: Any) -> str:
    return mint(iss=issuer, scope=scope, algorithm="ES256", key=key, **options)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def guarded(door: Door, verifier: Any, rules: Mapping[str, Any], **options: Any) -> FastAPI:
    guard = ScopeGuard(rules, verifier=verifier, admin_scope=ADMIN, **options)
    app = door(guard)

    async def see(request: Request, claims: Annotated[Claims, Depends(guard)]) -> dict[str, Any]:
        known, state = guard.claims_of(request), request.scope.get("state", {})
        return {
            "claims": sorted(claims.scopes),
            "claims_of": sorted(known.scopes) if known is not None else [],
            "bound": state.get("scopes", []),
            "bound_claims": sorted(state.get("claims", {}).get("scopes", [])),
        }

    for key in rules:
        app.add_api_route(key.partition(" ")[2], see)
    return app


@pytest.mark.parametrize("published", [False, True], ids=["given-keys", "published-keys"])
@pytest.mark.parametrize("allowed", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_admin_scope_of_the_partner_opens_nothing(
    door: Door, allowed: Any, published: bool
) -> None:
    app = guarded(door, make_verifiers(allowed, published=published), {"GET /x": "app:delete"})
    client = TestClient(app)

    refused = client.get("/x", headers=bearer(sign(PARTNER)))
    assert refused.status_code == 403
    assert refused.json()["code"] == "insufficient_scope"
    assert client.get("/x", headers=bearer(sign(OURS, key=OUR_KEY))).status_code == 200


@pytest.mark.parametrize("allowed", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_admin_scope_as_a_plain_requirement_is_not_met_by_the_partner(
    door: Door, allowed: Any
) -> None:
    client = TestClient(guarded(door, make_verifiers(allowed), {"GET /x": ADMIN}))

    assert client.get("/x", headers=bearer(sign(PARTNER))).status_code == 403
    assert client.get("/x", headers=bearer(sign(OURS, key=OUR_KEY))).status_code == 200


@pytest.mark.parametrize("allowed", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_nobody_behind_the_guard_sees_the_partners_admin_scope(door: Door, allowed: Any) -> None:
    app = guarded(door, make_verifiers(allowed), {"GET /x": []}, bind=bind_state, realm="api")
    client = TestClient(app)

    for names in client.get("/x", headers=bearer(sign(PARTNER, f"{ADMIN} x"))).json().values():
        assert ADMIN not in names
    for names in client.get("/x", headers=bearer(sign(OURS, key=OUR_KEY))).json().values():
        assert names == [ADMIN]


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_admin_scope_counts_from_a_partner_that_lists_it(door: Door) -> None:
    verifier = make_verifiers([ADMIN], ours=["app:*"])
    client = TestClient(guarded(door, verifier, {"GET /x": "app:delete"}))

    assert client.get("/x", headers=bearer(sign(PARTNER))).status_code == 200
    # Within its wildcard ours may still grant what the rule asks for, by its own name alone.
    assert client.get("/x", headers=bearer(sign(OURS, key=OUR_KEY))).status_code == 403
    own = sign(OURS, "app:delete", key=OUR_KEY)
    assert client.get("/x", headers=bearer(own)).status_code == 200


def test_partners_token_is_no_more_after_ours_on_the_same_app() -> None:
    client = TestClient(guarded(DOORS["perimeter"], make_verifiers(None), {"GET /x": "app:delete"}))

    for _ in range(2):
        assert client.get("/x", headers=bearer(sign(OURS, key=OUR_KEY))).status_code == 200
        assert client.get("/x", headers=bearer(sign(PARTNER))).status_code == 403


@pytest.mark.parametrize(
    "verifier",
    [
        make_verifiers(None, ours=None),
        make_verifiers(["app:*"], ours=["app:*"]),
        make_verifiers([f"{ADMIN}:*"], ours=[ADMIN.upper()]),
        make_verifiers([], ours=[]),
        make_verifier(allowed_scopes=["app:*"]),
        make_published(jwk(OUR_KEY), allowed_scopes=["app:read"]),
    ],
    ids=["no-limits", "wildcards", "near-misses", "nothing", "jwt-alone", "jwks-alone"],
)
def test_guard_whose_admin_scope_nobody_lists_does_not_start(verifier: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{ADMIN!r} counts from no issuer"):
        ScopeGuard({"GET /x": []}, verifier=verifier, admin_scope=ADMIN)


@pytest.mark.parametrize("allowed", [None, [ADMIN]], ids=["without-limits", "listed"])
def test_admin_scope_of_the_only_issuer_counts(allowed: Any) -> None:
    verifier = make_verifier(
        pem(OUR_KEY), algorithms=["ES256"], issuer=OURS, allowed_scopes=allowed
    )
    client = TestClient(guarded(DOORS["dependency"], verifier, {"GET /x": "app:delete"}))

    assert client.get("/x", headers=bearer(sign(OURS, key=OUR_KEY))).status_code == 200


FORGED: Mapping[str, Any] = {
    "partners-key-for-ours": sign(OURS),
    "our-key-for-the-partners": sign(PARTNER, key=OUR_KEY),
    "partners-key-and-kid-for-ours": sign(OURS, header={"kid": "partners"}),
    "partners-key-under-our-kid": sign(OURS, header={"kid": "ours"}),
    "our-kid-in-the-partners-own": sign(PARTNER, header={"kid": "ours"}),
    "partners-kid-over-our-key": sign(OURS, key=OUR_KEY, header={"kid": "partners"}),
    "nobody": sign("https://nobody.example"),
    "empty": sign(""),
    "missing": sign(OURS, without=("iss",)),
    "null": sign(None),
    "number": sign(1),
    "list": sign([PARTNER]),
    "list-of-both": sign([PARTNER, OURS]),
    "object": sign({PARTNER: OURS}),
    "slash": sign(f"{PARTNER}/"),
    "case": sign(PARTNER.upper()),
    "case-of-the-host": sign("https://Partner.example"),
    "default-port": sign(f"{PARTNER}:443"),
    "space": sign(f"{PARTNER} "),
    "nul": sign(f"{PARTNER}\0"),
    "both-in-one": sign(f"{PARTNER} {OURS}"),
}


@pytest.mark.parametrize("published", [False, True], ids=["given-keys", "published-keys"])
@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
def test_token_that_is_not_wholly_of_one_issuer_is_refused(token: str, published: bool) -> None:
    assert outcome(make_verifiers(published=published), token) not in ("accept", "unavailable")


@pytest.mark.parametrize("key", [OUR_KEY, PARTNER_KEY], ids=["our-key", "partners-key"])
@pytest.mark.parametrize("names", [(PARTNER, OURS), (OURS, PARTNER), (OURS, OURS)])
def test_token_with_two_issuers_is_refused(names: tuple[str, str], key: Any) -> None:
    first, second = names
    rest = json.dumps({**CLAIMS, "exp": NOW + 600})[1:]
    token = mint(f'{{"iss":"{first}","iss":"{second}",{rest}', algorithm="ES256", key=key)

    assert outcome(make_verifiers(), token) == "payload"


DROPPED: Mapping[str, tuple[list[str], str, set[str]]] = {
    "listed": (["app:read"], "app:read app:write", {"app:read"}),
    "case": (["app:read"], "App:read app:Read APP:READ", set()),
    "part-of-a-name": (["app:read"], "app:rea app:read2 app app:", set()),
    "within-a-prefix": (["app:*"], "app:read app:a:b", {"app:read", "app:a:b"}),
    "wildcard-itself": (["app:*"], "app:*", {"app:*"}),
    "longer-prefix": (["app:*"], "app2:read apps:read myapp:read", set()),
    "prefix-alone": (["app:*"], "app: app", set()),
    "case-of-a-prefix": (["app:*"], "App:read APP:read", set()),
    "prefix-of-two": (["app:a:*"], "app:read app:a app:a:b app:ab:c", {"app:a:b"}),
    "wildcards-of-the-token": (["app:read"], "* *:* app:* app:read*", set()),
    "nothing": ([], "app:read", set()),
}


@pytest.mark.parametrize(("allowed", "scope", "kept"), DROPPED.values(), ids=DROPPED)
def test_scope_outside_of_the_limits_is_dropped(
    allowed: list[str], scope: str, kept: set[str]
) -> None:
    assert verified(make_verifiers(allowed), sign(PARTNER, scope)).scopes == kept


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_dropped_scope_decides_nothing(door: Door) -> None:
    rules = {"GET /x": "app:delete", "GET /y": "app:read"}
    client = TestClient(guarded(door, make_verifiers(["app:read"]), rules))
    headers = bearer(sign(PARTNER, "app:delete app:read"))

    assert client.get("/x", headers=headers).status_code == 403
    assert client.get("/y", headers=headers).json()["claims"] == ["app:read"]


TENANT = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"
FAMILY = "https://login.example/{tenantid}/v2.0"


@pytest.mark.parametrize("is_first", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_tenant_escapes_its_own_limits_in_no_spelling(
    door: Door, spelled: Any, *, is_first: bool
) -> None:
    own = make_published(
        jwk(PARTNER_KEY), issuer=FAMILY.replace("{tenantid}", TENANT), allowed_scopes=["app:read"]
    )
    family = make_published(
        jwk(PARTNER_KEY), issuer=FAMILY, tenants=ANY_TENANT, allowed_scopes=[ADMIN, "app:*"]
    )
    verifier = IssuersVerifier([own, family] if is_first else [family, own])
    app = guarded(door, verifier, {"GET /x": "app:delete"})
    tenant = spelled(TENANT)
    token = sign(FAMILY.replace("{tenantid}", tenant), f"{ADMIN} app:delete", tid=tenant)

    with TestClient(app) as client:
        answer = client.get("/x", headers=bearer(token))
    assert answer.status_code == (403 if tenant == TENANT else 401)
