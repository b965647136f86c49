"""`IssuersVerifier` and `allowed_scopes`: what they take, and what they give."""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from fastapi_scopes import Claims
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.verifiers import (
    ANY_TENANT,
    Document,
    IntrospectionVerifier,
    IssuersVerifier,
)
from tests.verifiers.introspecting import SETTINGS
from tests.verifiers.kinds import gathered, make_published, outcome
from tests.verifiers.minting import NOW, SECRET, ec_key, jwk, mint, pem
from tests.verifiers.verifying import configured, make_verifier, verdict, verified

FIRST, SECOND = "https://first.example", "https://second.example"
TENANT, OTHER = "6babcaad-604b-40ac-a9d7-9fd97c0b779f", "9188040d-6c67-4c5b-b112-36a304b66dad"
FAMILY, OLD_FAMILY = "https://login.example/{tenantid}/v2.0", "https://sts.example/{tenantid}/"


def make_member(issuer: Any = FIRST, *, key: str = "first", **config: Any) -> Any:
    settings = {"algorithms": ["ES256"], "issuer": issuer, **config}
    return make_verifier(pem(ec_key(name=key)), **settings)


def make_family(family: str = FAMILY, **config: Any) -> Any:
    return make_member(family, tenants=ANY_TENANT, **config)


def sign(issuer: Any = FIRST, *, key: str = "first", **claims: Any) -> str:
    return mint(iss=issuer, algorithm="ES256", key=ec_key(name=key), **claims)


def problems_of(verifiers: Any) -> tuple[str, ...]:
    try:
        IssuersVerifier(verifiers)
    except ConfigurationError as error:
        return tuple(map(str, error.problems))
    return ()


class Stranger:
    issuers = frozenset({FIRST})

    async def verify(self, token: str) -> Any:
        return None


class Silent(Stranger):
    """A verifier of an application, which does not say its algorithms."""

    def grants_by_name(self, scope: str) -> bool:
        return False


class Listing(Silent):
    algorithms = ("ES256",)


class Saying(Silent):
    algorithms = frozenset({"ES384", "ES256"})


NO_LIST = "verifiers is no list, or an empty one"
NO_MEMBER = "; pass a JWTVerifier or JWKSVerifier for one issuer"
ANY_ISSUER = "is for tokens of any issuer; give it issuer="
TWICE = f"takes 'ES256' of {FIRST!r}, and so does verifiers[0]; keep one, or give them no algorithm"
SILENT = f"does not say its algorithms, and is for {FIRST!r}, as"
BAD: Mapping[str, tuple[Any, tuple[str, ...]]] = {
    "none": (None, (NO_LIST,)),
    "empty": ([], (NO_LIST,)),
    "text": (FIRST, (NO_LIST,)),
    "set": ({make_member()}, (NO_LIST,)),
    "one-alone": (make_member(), (NO_LIST,)),
    "mapping": ({FIRST: make_member()}, (NO_LIST,)),
    "class": ([type(make_member())], (NO_MEMBER,)),
    "issuer-for-a-verifier": ([FIRST], (NO_MEMBER,)),
    "other-verifier": ([Stranger()], (NO_MEMBER,)),
    "opaque": ([IntrospectionVerifier(**SETTINGS)], (f"'IntrospectionVerifier'{NO_MEMBER}",)),
    "nested": ([IssuersVerifier([make_member()])], (NO_MEMBER,)),
    "no-issuer": ([make_member(None)], (ANY_ISSUER,)),
    "no-issuer-of-a-set": ([make_published(jwk(ec_key()))], (ANY_ISSUER,)),
    "two-issuers": ([make_member([FIRST, SECOND])], ("is for 2 issuers; give each",)),
    "same-issuer": ([make_member(), make_member(key="second")], (TWICE,)),
    "same-issuer-three-times": (
        [make_member(), make_member(), make_member()],
        (TWICE, "verifiers[2] takes 'ES256'", "and so does verifiers[1]"),
    ),
    "same-family": ([make_family(), make_family()], (TWICE.replace(FIRST, FAMILY),)),
    "two-algorithms-in-common": (
        [Saying(), Saying()],
        (f"verifiers[1] takes 'ES256', 'ES384' of {FIRST!r}, and so does verifiers[0]",),
    ),
    "silent-beside-one": (
        [make_member(), Silent()],
        (f"verifiers[1] {SILENT} verifiers[0]; keep",),
    ),
    "silent-before-two": (
        [Silent(), make_member(), make_member(algorithms=["ES256"])],
        (
            "verifiers[2] takes",
            f"verifiers[0] {SILENT} verifiers[1] and verifiers[2]; keep one, or",
        ),
    ),
    "two-silent": ([Silent(), Listing()], (f"verifiers[0] {SILENT}", f"verifiers[1] {SILENT}")),
    "all-at-once": (
        [make_member(), None, make_member(None), make_member()],
        (NO_MEMBER, ANY_ISSUER, TWICE),
    ),
}


@pytest.mark.parametrize(("verifiers", "expected"), BAD.values(), ids=BAD)
def test_bad_member_is_named_by_the_constructor(verifiers: Any, expected: tuple[str, ...]) -> None:
    problems = problems_of(verifiers)

    assert len(problems) == len(expected)
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


def test_bad_member_is_named_by_its_place() -> None:
    assert "verifiers[1]" in problems_of([make_member(), make_member()])[0]


def test_member_under_a_wrong_type_is_never_quoted() -> None:
    assert SECRET not in "".join(problems_of([SECRET]))


def test_token_is_verified_by_the_verifier_of_its_issuer() -> None:
    verifier = IssuersVerifier([make_member(), make_member(SECOND, key="second")])

    assert verified(verifier, sign(sub="bob")).sub == "bob"
    assert verified(verifier, sign(SECOND, key="second")).iss == SECOND
    assert verdict(verifier, sign(SECOND)) == "signature"
    assert verdict(verifier, sign("https://third.example")) == "issuer"


def test_verifier_that_does_not_say_its_algorithms_may_have_an_issuer_alone() -> None:
    class Alone(Silent):
        async def verify(self, token: str) -> Claims:
            return Claims(sub="alone", exp=NOW)

    verifier = IssuersVerifier([Alone(), make_member(SECOND)])

    assert verified(verifier, sign()).sub == "alone"


def test_verifier_that_says_its_algorithms_may_share_an_issuer() -> None:
    class Sharing(Saying):
        origin: ClassVar[Any] = {"from": "elsewhere"}

        def grants_by_name(self, scope: str) -> bool:
            return True

        async def verify(self, token: str) -> Claims:
            return Claims(sub="sharing", exp=NOW)

    verifier = IssuersVerifier([Sharing(), make_verifier(issuer=FIRST)])

    assert verified(verifier, sign()).sub == "sharing"
    assert verified(verifier, mint(iss=FIRST)).sub == "alice"
    assert verifier.issuers_granting("a:read") == set()
    assert IssuersVerifier([Sharing()]).issuers_granting("a:read") == {FIRST}


OF_FAMILIES: Mapping[str, tuple[str, str | None, str]] = {
    "family": (FAMILY.replace("{tenantid}", OTHER), OTHER, "family"),
    "family-in-upper-case": (FAMILY.replace("{tenantid}", OTHER.upper()), OTHER.upper(), "family"),
    "other-family": (OLD_FAMILY.replace("{tenantid}", TENANT), TENANT, "other-family"),
    "tenant-of-its-own": (FAMILY.replace("{tenantid}", TENANT), None, "tenant"),
    # GUIDs are equal in any case: what the member of that tenant refuses, its family does not take.
    **{
        f"tenant-of-its-own-in-{name}": (FAMILY.replace("{tenantid}", each), tenant, "issuer")
        for name, each, tenant in (
            ("upper-case", TENANT.upper(), TENANT.upper()),
            ("upper-case-of-iss", TENANT.upper(), TENANT),
            ("mixed-case", TENANT[:18] + TENANT[18:].upper(), TENANT[:18] + TENANT[18:].upper()),
        )
    },
    "tenant-of-its-own-with-tid-in-upper-case": (
        FAMILY.replace("{tenantid}", TENANT),
        TENANT.upper(),
        "tenant",
    ),
    "another-tenant-claimed": (FAMILY.replace("{tenantid}", OTHER), TENANT, "issuer"),
    "template-itself": (FAMILY, OTHER, "issuer"),
    "no-guid": (FAMILY.replace("{tenantid}", "common"), "common", "issuer"),
    "guid-and-more": (FAMILY.replace("{tenantid}", f"{OTHER}/x"), f"{OTHER}/x", "issuer"),
    "guid-and-newline": (FAMILY.replace("{tenantid}", OTHER) + "\n", OTHER, "issuer"),
    "prefix-of-a-family": (FAMILY.partition("{")[0], OTHER, "issuer"),
    "another-host": (f"https://x.example/{OTHER}/v2.0", OTHER, "issuer"),
    "empty": ("", OTHER, "issuer"),
}


@pytest.mark.parametrize(("issuer", "tenant", "by"), OF_FAMILIES.values(), ids=OF_FAMILIES)
def test_family_takes_what_no_issuer_of_its_own_does(
    issuer: str, tenant: str | None, by: str
) -> None:
    members = [
        make_family(allowed_scopes=["family"]),
        make_family(OLD_FAMILY, allowed_scopes=["other-family"]),
        make_member(FAMILY.replace("{tenantid}", TENANT), allowed_scopes=["tenant"]),
    ]
    token = sign(issuer, tid=tenant, scope="family other-family tenant")

    for order in (members, members[::-1]):
        verifier = IssuersVerifier(order)
        if by == "issuer":
            assert verdict(verifier, token) == "issuer"
        else:
            assert verified(verifier, token).scopes == {by}


def test_tenant_that_is_written_in_upper_case_is_that_tenant() -> None:
    own = FAMILY.replace("{tenantid}", TENANT.upper())
    verifier = IssuersVerifier([make_family(), make_member(own, allowed_scopes=["tenant"])])

    for each in (TENANT, TENANT.title()):
        issuer = FAMILY.replace("{tenantid}", each)
        assert verdict(verifier, sign(issuer, tid=each)) == "issuer"
    assert verified(verifier, sign(own, scope="tenant x")).scopes == {"tenant"}


def test_algorithm_chooses_within_a_family() -> None:
    secret = make_verifier(issuer=FAMILY, tenants=ANY_TENANT)
    verifier = IssuersVerifier([make_family(), secret])
    claims = {"iss": FAMILY.replace("{tenantid}", OTHER), "tid": OTHER}

    assert verdict(verifier, sign(claims["iss"], tid=OTHER)) == "accept"
    assert verdict(verifier, mint(claims)) == "accept"
    assert verdict(verifier, mint(claims, algorithm="ES384")) == "algorithm"
    claims["iss"] = FAMILY.replace("{tenantid}", "x" * len(OTHER))
    assert verdict(verifier, mint(claims, algorithm="ES384")) == "issuer"


def test_one_issuer_in_a_list_is_one_issuer() -> None:
    assert verdict(IssuersVerifier([make_member([FIRST])]), sign()) == "accept"


def test_both_kinds_stand_beside_each_other() -> None:
    published = make_published(jwk(ec_key(name="second")), issuer=SECOND)
    verifier = IssuersVerifier((make_member(), published))

    assert verdict(verifier, sign()) == "accept"
    assert verdict(verifier, sign(SECOND, key="second")) == "accept"
    assert verdict(verifier, sign(SECOND)) == "signature"


def test_outage_of_one_issuer_is_no_outage_of_another() -> None:
    async def fetch(url: str) -> Document:
        raise OSError

    dead = make_published(issuer=SECOND, fetch=fetch)
    verifier = IssuersVerifier([dead, make_member()])

    assert outcome(verifier, sign(SECOND)) == "unavailable"
    assert outcome(verifier, sign()) == "accept"
    # Nobody's token makes anyone ask, and it is refused for good.
    assert outcome(verifier, sign("https://third.example")) == "issuer"


def test_concurrent_tokens_of_several_issuers_do_not_mix() -> None:
    verifier = IssuersVerifier([make_member(), make_member(SECOND, key="second")])
    tokens = [sign(sub="1"), sign(SECOND, key="second", sub="2")] * 20

    found = gathered(*map(verifier.verify, tokens))

    assert [(each.iss, each.sub) for each in found] == [(FIRST, "1"), (SECOND, "2")] * 20


def test_repr_names_the_issuers_and_no_key() -> None:
    verifier = IssuersVerifier([make_member(), make_member(SECOND)])

    assert repr(verifier) == f"<IssuersVerifier of {FIRST}, {SECOND}>"
    assert verifier.issuers == {FIRST, SECOND}


ODD: Mapping[str, tuple[Any, str]] = {
    "none": (None, "malformed"),
    "bytes": (sign().encode(), "malformed"),
    "empty": ("", "malformed"),
    "two-segments": (sign().rpartition(".")[0], "malformed"),
    "padded": (sign() + "=", "malformed"),
    "payload-no-base64": ("e30.!.AA", "malformed"),
    "payload-no-json": (mint("no json"), "payload"),
    "payload-list": (mint("[]"), "payload"),
    "too-large": (sign() + "A" * 20_000, "too_large"),
    "surrogate": ("e30.\ud800.AA", "malformed"),
    "header-none": (mint(header={"alg": "none"}, iss=FIRST), "algorithm"),
}


@pytest.mark.parametrize(("token", "answer"), ODD.values(), ids=ODD)
def test_odd_token_is_refused(token: Any, answer: str) -> None:
    assert verdict(IssuersVerifier([make_member()]), token) == answer


WRONG = "is no scope and no 'prefix:*'; write '*' nowhere else"
LIMITS: Mapping[str, tuple[Any, str | None]] = {
    "none": (None, None),
    "nothing": ([], None),
    "names": (["app:read", "x"], None),
    "tuple": (("app:read", "app:*", "a:b:*"), None),
    "twice": (["app:read", "app:read"], None),
    "text": ("app:read", "allowed_scopes is no list"),
    "bytes": (b"app:read", WRONG),
    "set": ({"app:read"}, "allowed_scopes is no list"),
    "number": (1, "allowed_scopes is no list"),
    "empty-name": ([""], WRONG),
    "two-in-one": (["app:read app:write"], WRONG),
    "quote": (['app:"'], WRONG),
    "star": (["*"], WRONG),
    "all": ([":*"], WRONG),
    "star-without-colon": (["app*"], WRONG),
    "star-inside": (["app:*:read"], WRONG),
    "two-stars": (["app:*:*"], WRONG),
    "double-star": (["app:**"], WRONG),
    "number-inside": ([1], WRONG),
    "none-inside": ([None], WRONG),
}


@pytest.mark.parametrize(("allowed", "problem"), LIMITS.values(), ids=LIMITS)
def test_limits_are_names_and_prefixes(allowed: Any, problem: str | None) -> None:
    problems = configured(allowed_scopes=allowed)

    assert len(problems) == (0 if problem is None else len(allowed) if problem is WRONG else 1)
    assert all(str(problem) in each for each in problems)


@pytest.mark.parametrize("scope", ["app:*", "app:read", "app:", "app", "*"])
def test_wildcard_lists_nothing_by_name(scope: str) -> None:
    limited = make_member(allowed_scopes=["app:*", "app:execute"])

    assert limited.issuers_granting("app:execute") is None
    assert limited.issuers_granting(scope) == set()
    assert IssuersVerifier([limited]).issuers_granting(scope) == set()


@pytest.mark.parametrize(
    ("allowed", "scope", "is_granted"),
    [
        (["p:*"], "p:", False),
        (["p:*"], "p:a", True),
        (["p:*"], "p::", True),
        (["p:*"], "p", False),
        (["p:*", "p:"], "p:", True),
        (["p:*", "p:q:*"], "p:q:", True),
        (["p:q:*"], "p:q:", False),
        (["p:q:*"], "p:q", False),
    ],
)
def test_wildcard_stands_for_something(allowed: Any, scope: str, *, is_granted: bool) -> None:
    verifier = make_verifier(allowed_scopes=allowed)

    assert verified(verifier, mint(scope=scope)).scopes == ({scope} if is_granted else set())


@pytest.mark.parametrize("allowed", [SECRET, SECRET.encode(), [SECRET + "*"], (f"a {SECRET}",)])
def test_limits_that_are_wrong_are_never_quoted(allowed: Any) -> None:
    said = "".join(configured(allowed_scopes=allowed))

    assert "allowed_scopes" in said
    assert SECRET[:8] not in said


def test_limits_are_a_copy() -> None:
    allowed = ["a:read"]
    verifier = make_verifier(allowed_scopes=allowed)
    allowed.append("b")

    assert verified(verifier, mint()).scopes == {"a:read"}


def test_limits_hold_for_a_token_that_is_kept() -> None:
    verifier, token = make_verifier(allowed_scopes=["b"]), mint()

    for _ in range(3):
        assert verified(verifier, token).scopes == {"b"}


def test_scope_that_is_none_refuses_the_token_also_beside_limits() -> None:
    assert (
        verdict(make_verifier(allowed_scopes=["a:read"]), mint(scope="a:read \u00e9")) == "scopes"
    )


class Warmed:
    """A member that is warm once *others* have begun to warm up as well."""

    def __init__(self, issuer: str, barrier: asyncio.Barrier) -> None:
        self.issuers = frozenset({issuer})
        self._barrier = barrier

    def grants_by_name(self, scope: str) -> bool:
        return False

    async def verify(self, token: str) -> Any:
        return None

    async def warm_up(self) -> None:
        await self._barrier.wait()


def test_members_are_warmed_up_at_once() -> None:
    async def warm() -> bool:
        barrier = asyncio.Barrier(3)
        members = [Warmed(FIRST, barrier), Warmed(SECOND, barrier)]
        # The third cannot be warmed up.
        verifier = IssuersVerifier([*members, make_member("https://third.example")])
        warming = asyncio.create_task(verifier.warm_up())
        await barrier.wait()
        await warming
        return barrier.broken

    assert asyncio.run(warm()) is False


def test_longest_timeout_of_a_member_is_that_of_all() -> None:
    first = make_published(jwk(ec_key()), issuer=FIRST, timeout=7)
    second = make_published(jwk(ec_key()), issuer=SECOND, timeout=0.5)

    assert IssuersVerifier([first, second]).timeout == 7
    assert IssuersVerifier([second]).timeout == 0.5
