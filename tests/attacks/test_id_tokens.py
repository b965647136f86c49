"""ID tokens, refresh tokens and the like: whoever has one is no caller (RFC 8725 3.11)."""

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from tests.verifiers.kinds import KINDS, Make, outcome
from tests.verifiers.minting import NOW, b64, mint
from tests.verifiers.verifying import verified

ISSUER, API = "https://as.example", "https://api.example"
# An issuer that takes one name for the client and the API addresses both with it.
COMMON: Mapping[str, Any] = {
    "iss": ISSUER,
    "aud": API,
    "sub": "alice",
    "iat": NOW,
    "exp": NOW + 600,
}
HALF = b64(hashlib.sha256(b"an access token").digest()[:16])

# As several makes write them, down to the claims that only some have.
ID_TOKENS: Mapping[str, Mapping[str, Any]] = {
    "openid-core": {"nonce": "n-0S6_WzA2Mj", "auth_time": NOW, "acr": "0", "amr": ["pwd"]},
    "openid-core-hybrid": {"nonce": "n", "at_hash": HALF, "c_hash": HALF},
    "code-flow-without-nonce": {"at_hash": HALF, "auth_time": NOW},
    "hybrid-without-at-hash": {"c_hash": HALF},
    "fapi-state-hash": {"s_hash": HALF},
    "keycloak": {"typ": "ID", "azp": API, "sid": "s", "email_verified": False, "nonce": "n"},
    "keycloak-without-nonce": {"typ": "ID", "azp": API, "preferred_username": "alice"},
    "cognito": {"token_use": "id", "cognito:groups": ["staff"], "event_id": "e"},
    "cognito-hosted-ui": {"token_use": "id", "at_hash": HALF, "cognito:username": "alice"},
    "entra": {"ver": "2.0", "nonce": "n", "oid": "o", "tid": "t", "rh": "r", "uti": "u"},
    "okta": {"ver": 1, "amr": ["pwd"], "idp": "i", "nonce": "n", "at_hash": HALF, "jti": "ID.x"},
    "auth0": {"nonce": "n", "sid": "s", "nickname": "alice", "picture": "https://p.example"},
    "google": {"azp": API, "at_hash": HALF, "hd": "example.com", "email_verified": True},
    "oidc-provider": {"nonce": "n", "sid": "s"},
    "keycloak-small": {"typ": "id", "scope": "app:read"},
    "nonce-null": {"nonce": None},
    "nonce-empty": {"nonce": ""},
    "hash-null": {"at_hash": None},
    "hash-with-scopes": {"at_hash": HALF, "scope": "app:read"},
    "typ-with-scopes": {"typ": "ID", "scope": "app:read"},
    "token-use-with-scopes": {"token_use": "id", "scope": "app:read"},
    "nonce-with-scopes-elsewhere": {"nonce": "n", "scopes": ["app:read"]},
    "nonce-with-nested-scopes": {"nonce": "n", "realm_access": {"roles": ["app:read"]}},
    "nonce-with-roles-and-azp": {"nonce": "n", "roles": ["app:read"], "azp": "another-client"},
    "nonce-with-scopes-null": {"nonce": "n", "scope": None},
    "nonce-with-scp-null": {"nonce": "n", "scp": None},
    "nonce-with-client-null": {"nonce": "n", "client_id": None},
}


LOGOUT = {"http://schemas.openid.net/event/backchannel-logout": {}}
OTHER_TOKENS: Mapping[str, Mapping[str, Any]] = {
    "keycloak-refresh": {"typ": "Refresh", "scope": "app:read"},
    "keycloak-offline": {"typ": "Offline", "scope": "app:read"},
    "keycloak-logout": {"typ": "Logout", "scope": "app:read"},
    "keycloak-bound-to-no-key": {"typ": "DPoP", "scope": "app:read"},
    "typ-empty": {"typ": "", "scope": "app:read"},
    "typ-null": {"typ": None, "scope": "app:read"},
    "typ-list": {"typ": ["Bearer"], "scope": "app:read"},
    "token-use-refresh": {"token_use": "refresh", "scope": "app:read"},
    "hydra-refresh": {"token_use": "refresh_token", "scope": "app:read"},
    "token-use-null": {"token_use": None, "scope": "app:read"},
    "logout": {"events": LOGOUT, "sid": "s", "scope": "app:read"},
    "security-event": {"events": {}, "scope": "app:read"},
    "events-in-a-list": {"events": [], "scope": "app:read"},
    "events-null": {"events": None, "scope": "app:read"},
}


def mint_plain(claims: Mapping[str, Any], **options: Any) -> str:
    """A token of exactly these claims and those that all have."""
    return mint({**COMMON, **claims}, algorithm="ES256", without=_unsaid(claims), **options)


def _unsaid(claims: Mapping[str, Any]) -> tuple[str, ...]:
    return () if "scope" in claims else ("scope",)


def make_api(make: Make, **config: Any) -> Any:
    return make(issuer=ISSUER, audience=API, **config)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("claims", ID_TOKENS.values(), ids=ID_TOKENS)
def test_id_token_is_refused(make: Make, claims: Mapping[str, Any]) -> None:
    token = mint_plain(claims, header={"typ": "JWT"})

    assert outcome(make_api(make), token) == "type"
    assert outcome(make_api(make, strict=True), token) == "type"


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("claims", OTHER_TOKENS.values(), ids=OTHER_TOKENS)
def test_token_of_another_kind_is_refused(make: Make, claims: Mapping[str, Any]) -> None:
    assert outcome(make_api(make), mint_plain(claims)) == "type"


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_id_token_for_a_client_of_another_name_is_refused_for_that(make: Make) -> None:
    token = mint_plain({"aud": "a-client"})

    assert outcome(make_api(make), token) == "audience"


ACCESS_TOKENS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "entra-nonce": ("scp", {"nonce": "n", "scp": "app:read", "ver": "1.0", "aio": "a"}),
    "nonce": ("scope", {"nonce": "n", "scope": "app:read"}),
    "nonce-with-no-scopes": ("scope", {"nonce": "n", "scope": ""}),
    "nonce-with-scopes-elsewhere": ("scope", {"nonce": "n", "scp": "app:read"}),
    "nonce-of-a-client": ("scope", {"nonce": "n", "client_id": "c"}),
    "nonce-of-an-empty-client": ("scope", {"nonce": "n", "client_id": ""}),
    "client-null": ("scope", {"client_id": None, "scope": "app:read"}),
    "nonce-with-typ": ("realm_access.roles", {"nonce": "n", "typ": "Bearer"}),
    "nonce-with-token-use": ("roles", {"nonce": "n", "token_use": "access"}),
    "keycloak": ("scope", {"typ": "Bearer", "azp": "c", "scope": "app:read", "sid": "s"}),
    "keycloak-in-capitals": ("scope", {"typ": "BEARER", "scope": "app:read"}),
    "typ-of-a-header": ("scope", {"typ": "at+jwt", "scope": "app:read"}),
    "hydra": ("scope", {"token_use": "access_token", "scope": "app:read"}),
    "cognito": ("scope", {"token_use": "access", "client_id": "c", "scope": "app:read"}),
    "okta": ("scp", {"ver": 1, "cid": "c", "scp": ["app:read"], "auth_time": NOW}),
    "auth-time-and-acr": ("scope", {"auth_time": NOW, "acr": "0", "amr": ["pwd"], "azp": "c"}),
    "no-scopes": ("scope", {}),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("claim", "claims"), ACCESS_TOKENS.values(), ids=ACCESS_TOKENS)
def test_access_token_that_resembles_an_id_token_passes(
    make: Make, claim: str, claims: Mapping[str, Any]
) -> None:
    claims_of_token = verified(make_api(make, scopes_claim=claim), mint_plain(claims))

    assert claims_of_token.scopes <= {"app:read"}
    assert claims_of_token.sub == "alice"


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_limits_make_no_id_token_of_an_access_token(make: Make) -> None:
    # Whether there are scopes is asked of the token, not of what is left of them.
    verifier = make_api(make, allowed_scopes=["app:write"])

    assert verified(verifier, mint_plain({"nonce": "n", "scope": "app:read"})).scopes == set()
