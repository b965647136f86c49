"""The verifiers before a real authorization server: what becomes of whatever it issues."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import pytest

from fastapi_scopes.verifiers import IntrospectionVerifier, IssuersVerifier, JWKSVerifier
from tests.issuers.real import (
    EDDSA_API,
    ES256_API,
    OPAQUE_API,
    PS256_API,
    RESOURCES,
    RS256_API,
    RealIssuer,
    dpop_key,
    shared_issuer,
    thumbprint,
)
from tests.verifiers.fetching import UNAVAILABLE, outcomes
from tests.verifiers.introspecting import answer_to, answers_to, claims_from
from tests.verifiers.minting import ec_key, mint, pem
from tests.verifiers.publishing import Clock
from tests.verifiers.verifying import make_verifier, verified

Issue: TypeAlias = Callable[[RealIssuer, str], str]
"""Has the issuer issue a token for an API."""

SIGNED = (RS256_API, PS256_API, ES256_API, EDDSA_API)
ALL_ACCEPTED = ["accept"] * len(SIGNED)


def make_discovering(issuer: RealIssuer, /, **settings: Any) -> Any:
    """A strict verifier that knows the issuer and the APIs, and finds the keys itself."""
    return JWKSVerifier(
        **{
            "issuer": issuer.issuer,
            "audience": SIGNED,
            "strict": True,
            "allow_http": True,
            **settings,
        }
    )


def make_asking(issuer: RealIssuer, /, **settings: Any) -> Any:
    """A verifier that asks the issuer about opaque tokens, as the resource server."""
    client_id, client_secret = issuer.introspection_client
    return IntrospectionVerifier(
        **{
            "endpoint": issuer.metadata["introspection_endpoint"],
            "client_id": client_id,
            "client_secret": client_secret,
            "issuer": issuer.issuer,
            "audience": OPAQUE_API,
            "allow_http": True,
            **settings,
        }
    )


def tokens_of(issuer: RealIssuer) -> list[str]:
    """New tokens, one of each algorithm."""
    return [issuer.token("basic", resource=api) for api in SIGNED]


def moved_clock() -> Clock:
    """A clock ahead of the issuer's, so that nothing that it issues is from the future."""
    return Clock(time.time() + 60)


def of_a_client(issuer: RealIssuer, api: str) -> str:
    return issuer.token("power", resource=api)


def of_a_person(issuer: RealIssuer, api: str) -> str:
    return str(issuer.sign_in("alice", resource=api)["access_token"])


def without_scopes(issuer: RealIssuer, api: str) -> str:
    return issuer.token("basic", scopes=[], resource=api)


def bound_by_dpop(issuer: RealIssuer, api: str) -> str:
    return issuer.dpop_token(resource=api)


def id_token(issuer: RealIssuer, api: str) -> str:
    return str(issuer.sign_in("alice", resource=api)["id_token"])


def for_another_api(issuer: RealIssuer, api: str) -> str:
    return issuer.token("basic", resource=next(each for each in SIGNED if each != api))


def opaque(issuer: RealIssuer, api: str) -> str:
    return issuer.opaque_token()


SIGNED_TOKENS: Mapping[str, tuple[Issue, str]] = {
    "of-a-client": (of_a_client, "accept"),
    "of-a-person": (of_a_person, "accept"),
    "without-scopes": (without_scopes, "accept"),
    "bound-by-dpop": (bound_by_dpop, "confirmation"),
    "id-token": (id_token, "type"),
    "for-another-api": (for_another_api, "audience"),
    "opaque": (opaque, "malformed"),
}


@pytest.mark.parametrize("api", SIGNED, ids=RESOURCES.get)
@pytest.mark.parametrize(("issue", "outcome"), SIGNED_TOKENS.values(), ids=SIGNED_TOKENS)
def test_only_plain_access_tokens_for_the_api_are_taken(
    api: str, issue: Issue, outcome: str
) -> None:
    issuer = shared_issuer()

    assert outcomes(make_discovering(issuer, audience=api), issue(issuer, api)) == [outcome]


@pytest.mark.parametrize("api", SIGNED, ids=RESOURCES.get)
def test_claims_are_those_that_the_issuer_signed(api: str) -> None:
    issuer = shared_issuer()
    verifier = make_discovering(issuer)

    client = verified(verifier, of_a_client(issuer, api))
    person = verified(verifier, of_a_person(issuer, api))

    assert (client.iss, client.aud, client.sub) == (issuer.issuer, api, "power")
    assert (client.client_id, client.scopes) == ("power", {"app:read", "app:run", "app:execute"})
    assert (person.sub, person.client_id, person.scopes) == ("alice", "public", {"app:read"})


@pytest.mark.parametrize("algorithm", [RESOURCES[api] for api in SIGNED])
def test_token_of_an_algorithm_that_is_not_configured_is_refused(algorithm: str) -> None:
    issuer = shared_issuer()
    verifier = make_discovering(issuer, algorithms=[algorithm])

    expected = ["accept" if RESOURCES[api] == algorithm else "algorithm" for api in SIGNED]
    assert outcomes(verifier, *tokens_of(issuer)) == expected


def test_id_token_is_told_by_its_nonce_where_neither_type_nor_audience_is_asked_for() -> None:
    issuer = shared_issuer()
    verifier = make_discovering(issuer, strict=False, audience=None)

    assert outcomes(verifier, issuer.id_token()) == ["type"]


class Checker:
    """A proof checker that is content with whatever it is asked, and notes it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, object]]] = []

    async def check(self, token: str, confirmation: Mapping[str, object]) -> None:
        self.asked.append((token, confirmation))


def test_proof_checker_is_given_the_key_that_a_dpop_token_is_bound_to() -> None:
    issuer, checker = shared_issuer(), Checker()
    token = issuer.dpop_token()

    assert outcomes(make_discovering(issuer, proof=checker), token) == ["accept"]
    assert checker.asked == [(token, {"jkt": thumbprint(dpop_key())})]


def by_a_new_key(issuer: RealIssuer, verifier: Any, clock: Clock) -> None:
    assert outcomes(verifier, issuer.token("basic")) == ["accept"]


def by_the_ttl(issuer: RealIssuer, verifier: Any, clock: Clock) -> None:
    clock.move(300)
    # Whatever comes first has the keys refreshed beside it.
    assert outcomes(verifier, "no.token.") == ["malformed"]


ROTATIONS: Mapping[str, tuple[Sequence[bool], str]] = {
    "with-overlap": ([True], "accept"),
    "with-overlap-twice": ([True, True], "unknown_key"),
    "without-overlap": ([False], "unknown_key"),
}


@pytest.mark.parametrize("noticed", [by_a_new_key, by_the_ttl], ids=lambda each: each.__name__)
@pytest.mark.parametrize(("overlaps", "old"), ROTATIONS.values(), ids=ROTATIONS)
def test_old_tokens_pass_as_long_as_their_keys_are_published_and_new_ones_at_once(
    noticed: Callable[[RealIssuer, Any, Clock], None], overlaps: Sequence[bool], old: str
) -> None:
    with RealIssuer() as issuer:
        clock = moved_clock()
        verifier = make_discovering(issuer, now=clock)
        # Those that were seen may be in its cache, the others are not.
        seen, unseen = tokens_of(issuer), tokens_of(issuer)
        assert outcomes(verifier, *seen) == ALL_ACCEPTED

        for overlap in overlaps:
            issuer.rotate(overlap=overlap)
        noticed(issuer, verifier, clock)

        assert outcomes(verifier, *seen, *unseen) == [old] * 2 * len(SIGNED)
        assert outcomes(verifier, *tokens_of(issuer)) == ALL_ACCEPTED


def test_old_tokens_pass_until_the_keys_are_asked_for_again() -> None:
    with RealIssuer() as issuer:
        clock = moved_clock()
        verifier = make_discovering(issuer, now=clock)
        first, second, third = tokens_of(issuer), tokens_of(issuer), tokens_of(issuer)
        assert outcomes(verifier, *first) == ALL_ACCEPTED

        issuer.rotate(overlap=False)
        clock.move(299)
        assert outcomes(verifier, *second) == ALL_ACCEPTED
        clock.move(1)
        # The first is answered at once, with the keys that are asked for anew beside it.
        assert outcomes(verifier, *third) == ["accept", *["unknown_key"] * 3]


def test_keys_of_an_issuer_that_stopped_serve_on_until_they_are_too_old() -> None:
    with RealIssuer() as issuer:
        clock = moved_clock()
        warm = make_discovering(issuer, now=clock, max_age=900)
        cold = make_discovering(issuer, now=clock)
        seen, unseen = tokens_of(issuer), tokens_of(issuer)
        assert outcomes(warm, *seen) == ALL_ACCEPTED

    for seconds in (0, 300, 599):
        clock.move(seconds)
        assert outcomes(warm, *seen, *unseen) == ALL_ACCEPTED * 2
        assert outcomes(cold, *seen) == [UNAVAILABLE] * len(SIGNED)
    clock.move(1)
    assert outcomes(warm, *seen) == [UNAVAILABLE] * len(SIGNED)


def revoked(issuer: RealIssuer, api: str) -> str:
    token = issuer.opaque_token()
    issuer.revoke(token)
    return token


def signed(issuer: RealIssuer, api: str) -> str:
    return issuer.token("basic")


def invented(issuer: RealIssuer, api: str) -> str:
    return "invented"


OPAQUE_TOKENS: Mapping[str, tuple[Issue, Mapping[str, Any], str]] = {
    "of-a-client": (of_a_client, {}, "accept"),
    "of-a-person": (of_a_person, {}, "accept"),
    "bound-by-dpop": (bound_by_dpop, {}, "confirmation"),
    "revoked": (revoked, {}, "inactive"),
    "invented": (invented, {}, "inactive"),
    "for-another-api": (opaque, {"audience": RS256_API}, "audience"),
    "of-another-issuer": (opaque, {"issuer": "https://issuer.example"}, "issuer"),
    # RFC 7662 2.2 has it `inactive`; this server is not asked about JWTs, and answers 400.
    "signed": (signed, {}, UNAVAILABLE),
    "told-to-nobody": (opaque, {"client_secret": "not-the-secret"}, UNAVAILABLE),
}


@pytest.mark.parametrize(
    ("issue", "settings", "outcome"), OPAQUE_TOKENS.values(), ids=OPAQUE_TOKENS
)
def test_opaque_token_is_taken_where_its_issuer_vouches_for_it(
    issue: Issue, settings: Mapping[str, Any], outcome: str
) -> None:
    issuer = shared_issuer()

    assert answer_to(make_asking(issuer, **settings), issue(issuer, OPAQUE_API)) == outcome


def test_client_that_may_not_ask_learns_nothing_of_a_token() -> None:
    issuer = shared_issuer()
    client = {"client_id": "basic", "client_secret": issuer.clients["basic"]}

    assert answer_to(make_asking(issuer, **client), issuer.opaque_token("power")) == "inactive"


def test_claims_are_those_that_the_issuer_tells() -> None:
    issuer = shared_issuer()

    client = claims_from(make_asking(issuer), of_a_client(issuer, OPAQUE_API))
    person = claims_from(make_asking(issuer), of_a_person(issuer, OPAQUE_API))

    assert (client.iss, client.aud, client.sub) == (issuer.issuer, OPAQUE_API, None)
    assert (client.client_id, client.scopes) == ("power", {"app:read", "app:run", "app:execute"})
    assert (person.sub, person.client_id, person.scopes) == ("alice", "public", {"app:read"})


def test_token_that_is_revoked_passes_no_longer_than_an_answer_is_kept() -> None:
    issuer, clock = shared_issuer(), moved_clock()
    verifier, token = make_asking(issuer, now=clock), issuer.opaque_token()
    assert answer_to(verifier, token) == "accept"

    issuer.revoke(token)
    clock.move(9.9)
    assert answer_to(verifier, token) == "accept"
    clock.move(0.1)
    assert answer_to(verifier, token) == "inactive"


def test_answers_of_an_issuer_that_stopped_serve_as_long_as_they_are_kept() -> None:
    clock = moved_clock()
    with RealIssuer() as issuer:
        verifier = make_asking(issuer, now=clock)
        seen, unseen = issuer.opaque_token(), issuer.opaque_token()
        assert answer_to(verifier, seen) == "accept"

    assert answers_to(verifier, seen, unseen) == ["accept", UNAVAILABLE]
    clock.move(10)
    assert answers_to(verifier, seen, unseen) == [UNAVAILABLE, UNAVAILABLE]


STATIC = "https://static.example"


def minted(issuer: str, **header: str) -> str:
    """A token that names *issuer*, signed with a key of the tests."""
    header = {"typ": "at+jwt", **header}
    exp = time.time() + 600
    return mint(iss=issuer, exp=exp, algorithm="ES256", key=ec_key(), header=header)


def forged(issuer: RealIssuer) -> str:
    """A token that names *issuer* and a key of it, which did not sign it."""
    (kid,) = (each["kid"] for each in issuer.key_set()["keys"] if each["alg"] == "ES256")
    return minted(issuer.issuer, kid=kid)


def test_each_of_several_issuers_vouches_for_its_own_tokens_alone() -> None:
    first = shared_issuer()
    with RealIssuer() as second:
        given = make_verifier(pem(ec_key()), algorithms=["ES256"], issuer=STATIC, now=time.time)
        two = IssuersVerifier([make_discovering(first), given])
        three = IssuersVerifier([make_discovering(first), make_discovering(second), given])
        tokens = [first.token("basic"), second.token("basic"), minted(STATIC)]

        assert outcomes(two, *tokens) == ["accept", "issuer", "accept"]
        assert outcomes(three, *tokens) == ["accept"] * 3
        assert outcomes(three, forged(first), forged(second)) == ["signature"] * 2


def test_issuer_that_stopped_takes_no_other_with_it() -> None:
    first = shared_issuer()
    with RealIssuer() as second:
        tokens = [first.token("basic"), second.token("basic")]

    both = IssuersVerifier([make_discovering(second), make_discovering(first)])
    assert outcomes(both, *tokens, *tokens) == ["accept", UNAVAILABLE] * 2
