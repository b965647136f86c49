"""A template is the issuer of a tenant's tokens, never of another tenant's or of nobody's."""

import json
from typing import Any

import pytest

from fastapi_scopes.verifiers import ANY_TENANT, Document, JWKSVerifier
from tests.verifiers.kinds import outcome
from tests.verifiers.minting import NOW, jwk, mint, rsa_key
from tests.verifiers.verifying import configured, make_verifier, verdict

OURS = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"
THEIRS = "9188040d-6c67-4c5b-b112-36a304b66dad"
FAMILY = "https://login.microsoftonline.com/{tenantid}/v2.0"
OLD_FAMILY = "https://sts.windows.net/{tenantid}/"


def issuer_of(tenant: str, family: str = FAMILY) -> str:
    return family.replace("{tenantid}", tenant)


TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "ours": ({"iss": issuer_of(OURS), "tid": OURS}, "accept"),
    "ours-in-upper-case": ({"iss": issuer_of(OURS.upper()), "tid": OURS.upper()}, "accept"),
    "theirs": ({"iss": issuer_of(THEIRS), "tid": THEIRS}, "issuer"),
    "theirs-with-our-tid": ({"iss": issuer_of(THEIRS), "tid": OURS}, "issuer"),
    "ours-with-their-tid": ({"iss": issuer_of(OURS), "tid": THEIRS}, "issuer"),
    "without-tid": ({"iss": issuer_of(OURS)}, "issuer"),
    "without-iss": ({"tid": OURS}, "issuer"),
    "null-iss": ({"iss": None, "tid": OURS}, "issuer"),
    "template-itself": ({"iss": FAMILY, "tid": OURS}, "issuer"),
    "template-as-tid": ({"iss": FAMILY, "tid": "{tenantid}"}, "issuer"),
    "common": ({"iss": issuer_of("common"), "tid": "common"}, "issuer"),
    "case-differs": ({"iss": issuer_of(OURS), "tid": OURS.upper()}, "issuer"),
    "slash": ({"iss": issuer_of(OURS) + "/", "tid": OURS}, "issuer"),
    "another-host": (
        {"iss": issuer_of(OURS, "https://evil/{tenantid}/v2.0"), "tid": OURS},
        "issuer",
    ),
    "tid-with-a-path": ({"iss": issuer_of(OURS + "/x"), "tid": OURS + "/x"}, "issuer"),
    "tid-with-a-newline": ({"iss": issuer_of(OURS + "\n"), "tid": OURS + "\n"}, "issuer"),
    "tid-in-a-list": ({"iss": issuer_of(OURS), "tid": [OURS]}, "issuer"),
    "tid-null": ({"iss": issuer_of(OURS), "tid": None}, "issuer"),
    "first-version": ({"iss": issuer_of(OURS, OLD_FAMILY), "tid": OURS}, "issuer"),
}


@pytest.mark.parametrize(("claims", "answer"), TOKENS.values(), ids=TOKENS)
def test_token_is_of_one_of_the_tenants(claims: dict[str, Any], answer: str) -> None:
    assert verdict(make_verifier(issuer=FAMILY, tenants=[OURS.upper()]), mint(**claims)) == answer


def test_any_tenant_is_a_tenant_all_the_same() -> None:
    verifier = make_verifier(issuer=FAMILY, tenants=ANY_TENANT)

    assert verdict(verifier, mint(iss=issuer_of(THEIRS), tid=THEIRS)) == "accept"
    assert verdict(verifier, mint(iss=issuer_of(THEIRS), tid=OURS)) == "issuer"
    assert verdict(verifier, mint(iss=issuer_of("x"), tid="x")) == "issuer"
    assert verdict(verifier, mint(iss=FAMILY, tid=OURS)) == "issuer"


def test_families_and_issuers_stand_side_by_side() -> None:
    verifier = make_verifier(issuer=[FAMILY, OLD_FAMILY, "https://b"], tenants=[OURS])

    assert verdict(verifier, mint(iss=issuer_of(OURS, OLD_FAMILY), tid=OURS)) == "accept"
    assert verdict(verifier, mint(iss=issuer_of(THEIRS, OLD_FAMILY), tid=THEIRS)) == "issuer"
    assert verdict(verifier, mint(iss="https://b")) == "accept"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no-tenants": ({"issuer": FAMILY}, "issuer has {tenantid} in it, and tenants is not set"),
    "no-family": ({"issuer": "https://b", "tenants": [OURS]}, "tenants is set, and issuer has no"),
    "any-tenant-of-none": ({"issuer": None, "tenants": ANY_TENANT}, "tenants is set, and issuer"),
    "empty": ({"issuer": FAMILY, "tenants": []}, "tenants is no list of GUIDs"),
    "text": ({"issuer": FAMILY, "tenants": OURS}, "tenants is no list of GUIDs"),
    "star": ({"issuer": FAMILY, "tenants": ["*"]}, "tenants[0] is no GUID"),
    "domain": ({"issuer": FAMILY, "tenants": [OURS, "a.onmicrosoft.com"]}, "tenants[1] is no GUID"),
    "newline": ({"issuer": FAMILY, "tenants": [OURS + "\n"]}, "tenants[0] is no GUID"),
    "placeholder": ({"issuer": "https://b/{tenant}/v2.0"}, "another placeholder than {tenantid}"),
    "brace": ({"issuer": FAMILY + "}", "tenants": [OURS]}, "another placeholder than"),
    "common": ({"issuer": issuer_of("common")}, "is the issuer of no token"),
    "organizations": ({"issuer": issuer_of("organizations")}, "is the issuer of no token"),
    "consumers": ({"issuer": issuer_of("Consumers")}, "is the issuer of no token"),
    "common-alone": ({"issuer": "https://LOGIN.microsoftonline.com/common"}, "of no token"),
    "common-old": ({"issuer": "https://sts.windows.net/common/"}, "is the issuer of no token"),
    "common-of-several": ({"issuer": ["https://b", issuer_of("common")]}, "of no token"),
}


@pytest.mark.parametrize(("settings", "problem"), BAD.values(), ids=BAD)
def test_family_that_says_nothing_is_named_by_the_constructor(
    settings: dict[str, Any], problem: str
) -> None:
    (found,) = configured(**settings)

    assert problem in found


@pytest.mark.parametrize(
    "issuer", ["https://id.example/common", "https://[x/common", issuer_of(OURS)]
)
def test_issuer_of_others_may_be_called_so(issuer: str) -> None:
    assert configured(issuer=issuer) == ()


KEY_ISSUERS: dict[str, tuple[object, str]] = {
    "its-own": (issuer_of(OURS), "accept"),
    "template": (FAMILY, "accept"),
    "none": (None, "accept"),
    "another-tenant": (issuer_of(THEIRS), "issuer"),
    "another-template": (OLD_FAMILY, "issuer"),
    "slash": (issuer_of(OURS) + "/", "issuer"),
    "number": (7, "unknown_key"),
}


@pytest.mark.parametrize(("issuer", "answer"), KEY_ISSUERS.values(), ids=KEY_ISSUERS)
@pytest.mark.parametrize("expected", [FAMILY, issuer_of(OURS), None], ids=["family", "one", "any"])
def test_key_verifies_tokens_of_the_issuer_that_it_is_published_for(
    expected: str | None, issuer: object, answer: str
) -> None:
    other = jwk(rsa_key("other"), kid="other")
    keys = {"keys": [other, jwk(rsa_key(), kid="k", issuer=issuer)]}
    verifier = make_verifier(
        keys,
        algorithms=["RS256"],
        issuer=expected,
        tenants=[OURS, THEIRS] if expected == FAMILY else None,
    )
    token = mint(iss=issuer_of(OURS), tid=OURS, algorithm="RS256", header={"kid": "k"})

    assert verdict(verifier, token) == answer


def test_key_of_an_issuer_verifies_no_token_without_one() -> None:
    keys = {"keys": [jwk(rsa_key(), issuer=issuer_of(OURS))]}
    verifier = make_verifier(keys, algorithms=["RS256"])

    assert verdict(verifier, mint(algorithm="RS256")) == "issuer"
    assert verdict(verifier, mint(iss=None, algorithm="RS256")) == "issuer"
    assert verdict(verifier, mint(iss=issuer_of(OURS), algorithm="RS256")) == "accept"


@pytest.mark.parametrize(
    ("issuer", "answer"),
    [(FAMILY, "accept"), (issuer_of("common"), "unavailable"), (issuer_of(OURS), "unavailable")],
)
def test_metadata_of_a_family_is_that_of_common_and_names_the_template(
    issuer: str, answer: str
) -> None:
    asked: list[str] = []

    async def fetch(url: str) -> Document:
        asked.append(url)
        metadata = {"issuer": issuer, "jwks_uri": "https://login.microsoftonline.com/keys"}
        keys = {"keys": [jwk(rsa_key())]}
        return Document(json.dumps(keys if url.endswith("/keys") else metadata).encode())

    verifier = JWKSVerifier(
        issuer=FAMILY, tenants=[OURS], audience=None, fetch=fetch, now=lambda: NOW
    )

    assert outcome(verifier, mint(iss=issuer_of(OURS), tid=OURS, algorithm="RS256")) == answer
    assert asked[0] == f"{issuer_of('common')}/.well-known/openid-configuration"
