"""Tokens are verified with the keys that their issuer publishes."""

import contextvars
from typing import Any

import pytest

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import TokenError, TokenFault
from fastapi_scopes.verifiers import Document
from tests.verifiers import minting
from tests.verifiers.minting import (
    NOW,
    b64,
    ec_key,
    ed448_key,
    ed25519_key,
    jwk,
    key_for,
    pem,
    rsa_key,
)
from tests.verifiers.publishing import (
    ISSUER,
    JWKS_URI,
    Issuer,
    key_set_of,
    looped,
    make_jwks_verifier,
    outcome_of,
)


def publishing(*jwks: Any) -> Issuer:
    """An issuer of exactly these keys."""
    issuer = Issuer()
    issuer.documents[JWKS_URI] = key_set_of(*jwks)
    return issuer


def minted(algorithm: str, key: Any, **header: Any) -> str:
    return minting.mint({"iss": ISSUER}, algorithm=algorithm, key=key, header=header)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
@looped
async def test_default_algorithms_verify(algorithm: str) -> None:
    issuer = publishing(jwk(key_for(algorithm), kid="k1", use="sig"))
    claims = await issuer.verifier().verify(minted(algorithm, key_for(algorithm), kid="k1"))

    assert isinstance(claims, Claims)
    assert (claims.iss, claims.sub, claims.scopes) == (ISSUER, "alice", {"a:read", "b"})


MORE_ALGORITHMS = {
    **{name: key_for(name) for name in ("RS384", "RS512", "PS384", "PS512", "ES384", "ES512")},
    "Ed448": ed448_key(),
}


@pytest.mark.parametrize("algorithm", MORE_ALGORITHMS)
@looped
async def test_algorithm_verifies_where_it_was_asked_for(algorithm: str) -> None:
    key = MORE_ALGORITHMS[algorithm]
    issuer = publishing(jwk(key, kid="k1"))
    token = minted(algorithm, key, kid="k1")

    assert await outcome_of(issuer.verifier(algorithms=[algorithm]), token) == "accept"
    by_default = issuer.verifier()
    refusal = "verifier_unavailable" if algorithm[:4] in ("ES38", "ES51") else "algorithm"
    assert await outcome_of(by_default, token) == refusal


SETS: dict[str, tuple[Any, ...]] = {
    "same-key-twice": (jwk(ec_key(), kid="a"), jwk(ec_key(), kid="a")),
    "same-key-with-other-members": (
        jwk(ec_key(), kid="a", x5t="x"),
        jwk(ec_key(), kid="a", use=None, alg="ES256", x5c=["y"]),
    ),
    "nulls": (jwk(ec_key(), kid="a", use=None, alg=None, key_ops=None, d=None, issuer=None),),
    "one-bad": (jwk(ec_key(), kid="a"), {"kty": "EC", "kid": ["a"]}, {"kty": {}}, None),
}


@pytest.mark.parametrize("jwks", SETS.values(), ids=SETS)
@looped
async def test_set_of_a_careless_issuer_verifies(jwks: tuple[Any, ...]) -> None:
    verifier = publishing(*jwks).verifier()

    assert await outcome_of(verifier, minted("ES256", ec_key(), kid="a")) == "accept"


def mixed_set() -> tuple[Any, ...]:
    return (
        jwk(rsa_key(), kid="r", alg="RS256"),
        jwk(ec_key(), kid="e", alg="ES256"),
        jwk(ed25519_key(), kid="o", alg="EdDSA"),
        jwk(ec_key(name="any"), kid="any"),
        jwk(rsa_key("enc"), kid="enc", use="enc"),
    )


TOKENS: dict[str, tuple[str, str]] = {
    "rsa": (minted("RS256", rsa_key(), kid="r"), "accept"),
    "ec": (minted("ES256", ec_key(), kid="e"), "accept"),
    "edwards": (minted("EdDSA", ed25519_key(), kid="o"), "accept"),
    "key-without-alg": (minted("ES256", ec_key(name="any"), kid="any"), "accept"),
    "alg-of-another-key": (minted("PS256", rsa_key(), kid="r"), TokenFault.UNKNOWN_KEY),
    "kid-of-another-key": (minted("ES256", ec_key(name="any"), kid="e"), TokenFault.SIGNATURE),
    "kid-of-another-kind": (minted("EdDSA", ed25519_key(), kid="e"), TokenFault.UNKNOWN_KEY),
    "unknown-kid": (minted("ES256", ec_key(), kid="x"), TokenFault.UNKNOWN_KEY),
    "key-for-encryption": (minted("RS256", rsa_key("enc"), kid="enc"), TokenFault.UNKNOWN_KEY),
    "no-kid-among-several": (minted("ES256", ec_key()), TokenFault.UNKNOWN_KEY),
    "no-kid-and-the-only-such-key": (minted("EdDSA", ed25519_key()), "accept"),
    "no-kid-and-a-forgery": (minted("EdDSA", ed25519_key("forger")), TokenFault.SIGNATURE),
    "secret-of-the-public-key": (
        minted("HS256", pem(rsa_key()), kid="r"),
        TokenFault.ALGORITHM,
    ),
    "not-signed": (
        b64('{"alg": "none", "kid": "e"}') + "." + b64("{}") + ".",
        TokenFault.MALFORMED,
    ),
    "signed-with-none": (minted("ES256", ec_key(), alg="none", kid="e"), TokenFault.ALGORITHM),
    "key-in-the-header": (
        minted("ES256", ec_key(name="forger"), kid="e", jwk=jwk(ec_key(name="forger"))),
        TokenFault.SIGNATURE,
    ),
    "url-in-the-header": (
        minted("ES256", ec_key(name="forger"), kid="x", jku="https://forger.example/jwks"),
        TokenFault.UNKNOWN_KEY,
    ),
}


@pytest.mark.parametrize(("token", "expected"), TOKENS.values(), ids=TOKENS)
@looped
async def test_key_is_chosen_by_kid_and_alg(token: str, expected: str) -> None:
    issuer = publishing(*mixed_set())

    assert await outcome_of(issuer.verifier(), token) == expected
    # Nothing but the key set is ever asked for, whatever a header says.
    assert set(issuer.urls) == {JWKS_URI}


@pytest.mark.parametrize("kid", [None, "any-name"])
@looped
async def test_keys_without_kid_verify_whatever_a_token_names(kid: str | None) -> None:
    issuer = publishing(jwk(ec_key(name="old")), jwk(ec_key(name="new")))
    verifier = issuer.verifier()

    for name in ("old", "new"):
        token = issuer.mint(kid, key=ec_key(name=name))
        assert await outcome_of(verifier, token) == "accept"
    forged = issuer.mint(kid, key=ec_key(name="forger"))
    assert await outcome_of(verifier, forged) == TokenFault.SIGNATURE


@looped
async def test_token_without_kid_is_verified_with_the_only_key() -> None:
    issuer = Issuer("k1")

    token = issuer.mint(None, key=ec_key(name="k1"))
    assert await outcome_of(issuer.verifier(), token) == "accept"


@pytest.mark.parametrize("position", [0, 1])
@looped
async def test_two_keys_of_one_kid_verify_nothing(position: int) -> None:
    twins = [jwk(ec_key(name="one"), kid="k"), jwk(ec_key(name="other"), kid="k")]
    issuer = publishing(*twins, jwk(ec_key(name="k1"), kid="k1"))
    token = issuer.mint("k", key=ec_key(name=("one", "other")[position]))

    assert await outcome_of(issuer.verifier(), token) == TokenFault.UNKNOWN_KEY
    assert await outcome_of(issuer.verifier(), issuer.mint("k1")) == "accept"


CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "of-another-issuer": ({"iss": "https://other.example"}, TokenFault.ISSUER),
    "of-no-issuer": ({"iss": ""}, TokenFault.ISSUER),
    "for-another-audience": ({"aud": "https://other.example"}, TokenFault.AUDIENCE),
    "expired": ({"exp": NOW}, TokenFault.EXPIRED),
    "expired-within-the-leeway": ({"exp": NOW - 9}, "accept"),
    "from-the-future": ({"nbf": NOW + 11}, TokenFault.NOT_YET_VALID),
    "bound-to-a-key": ({"cnf": {"jkt": "x"}}, TokenFault.CONFIRMATION),
    "good": ({}, "accept"),
}


@pytest.mark.parametrize(("claims", "expected"), CLAIMS.values(), ids=CLAIMS)
@looped
async def test_claims_are_judged_as_everywhere(claims: dict[str, Any], expected: str) -> None:
    issuer = Issuer()
    leeway = 10 if claims.get("exp", 0) < NOW else 0
    verifier = issuer.verifier(audience=["https://api.example", "other"], leeway=leeway)

    token = issuer.mint(**{"aud": "https://api.example", **claims})
    assert await outcome_of(verifier, token) == expected


@looped
async def test_strict_asks_for_the_type_of_an_access_token() -> None:
    issuer = Issuer()
    verifier = issuer.verifier(strict=True)

    assert await outcome_of(verifier, issuer.mint()) == TokenFault.TYPE


class Employee(Claims):
    department: str = "none"


@looped
async def test_claims_model_and_scopes_claim_are_the_users() -> None:
    issuer = Issuer()
    verifier = issuer.verifier(
        claims_model=Employee, scopes_claim="realm.roles", allowed_scopes=["a:*"]
    )
    token = issuer.mint(realm={"roles": ["a:read", "b"]}, department="sales")

    for _ in range(2):
        claims = await verifier.verify(token)
        assert (type(claims), claims.department) == (Employee, "sales")
        assert claims.scopes == {"a:read"}


@looped
async def test_change_to_claims_reaches_no_later_request() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    token = issuer.mint(groups=["staff"])

    first = await verifier.verify(token)
    first.groups.append("admin")

    assert (await verifier.verify(token)).groups == ["staff"]


WRONG_TYPES: dict[str, Any] = {
    "none": None,
    "bytes": b"a.b.c",
    "number": 1,
    "list": ["a", "b", "c"],
    "empty": "",
    "surrogate": "a.\ud800.c",
    "two-segments": "a.b",
    "huge": "a" * 10**6,
}


@pytest.mark.parametrize("token", WRONG_TYPES.values(), ids=WRONG_TYPES)
@looped
async def test_what_is_no_token_is_refused_without_another_fetch(token: Any) -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint())

    with pytest.raises(TokenError):
        await verifier.verify(token)
    assert issuer.fetches == 1


def test_verifier_is_named_by_its_issuer_or_its_keys_without_a_query() -> None:
    uri = "https://keys.example/jwks?tenant=canary"

    assert repr(make_jwks_verifier()) == f"<JWKSVerifier of {ISSUER}>"
    assert repr(make_jwks_verifier(jwks_uri=uri)) == f"<JWKSVerifier of {ISSUER}>"
    nameless = make_jwks_verifier(issuer=None, jwks_uri=uri)
    assert repr(nameless) == "<JWKSVerifier of https://keys.example/jwks>"


@pytest.mark.parametrize(
    ("allowed", "listing"),
    [(None, None), (["a:read"], {ISSUER}), (["a:*"], frozenset()), ([], frozenset())],
    ids=["unlimited", "by-name", "by-prefix", "nothing"],
)
def test_issuer_lists_a_scope_by_name_or_everything(allowed: Any, listing: Any) -> None:
    verifier = make_jwks_verifier(allowed_scopes=allowed)

    assert verifier.issuers == {ISSUER}
    assert verifier.grants_by_name("a:read") is bool(listing)
    # Of one issuer there is nothing to choose from: all that it verifies, or nothing.
    assert verifier.issuers_granting("a:read") == (listing if listing == frozenset() else None)


REQUEST = contextvars.ContextVar("request", default="none")


@looped
async def test_fetch_sees_nothing_of_the_request_that_caused_it() -> None:
    issuer = Issuer()
    seen: list[str] = []

    async def fetch(url: str) -> Document:
        seen.append(REQUEST.get())
        return await issuer.fetch(url)

    REQUEST.set("of alice")
    await issuer.verifier(fetch=fetch).verify(issuer.mint())

    assert seen == ["none"]
