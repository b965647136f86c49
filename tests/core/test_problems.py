"""The table of design.md section 5, byte for byte."""

from typing import Any

import pytest

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.decisions import Decision, Reason, decide
from fastapi_scopes.core.grants import Grants
from fastapi_scopes.core.problems import (
    Challenge,
    ProblemCode,
    ProtectionSpace,
    problem_of,
    require_challenge_scopes,
    require_realm,
)
from fastapi_scopes.core.requirements import parse_requirement
from fastapi_scopes.core.scope_map import Rule
from fastapi_scopes.core.templates import Pattern
from fastapi_scopes.errors import (
    ConfigurationError,
    CredentialsError,
    TokenError,
    TokenFault,
    VerifierUnavailable,
)

API = ProtectionSpace("api")
NOT_STORED = ("Cache-Control", "no-store")
FORBIDDEN = (
    b'{"type":"urn:fastapi-scopes:problem:forbidden","title":"Forbidden","status":403,'
    b'"detail":"access is denied","code":"forbidden"}'
)
INVALID_TOKEN = (
    b'{"type":"urn:fastapi-scopes:problem:invalid_token","title":"Invalid token","status":401,'
    b'"detail":"the access token is not valid here","code":"invalid_token"}'
)


def insufficient(requirement: object, *held: str) -> Decision:
    rule = Rule("GET", Pattern.parse("/a"), parse_requirement(requirement))
    return decide(rule, Claims(exp=1, scopes=frozenset(held)), Grants())


@pytest.mark.parametrize(
    ("refusal", "status", "body", "headers"),
    [
        pytest.param(
            Decision(Reason.MISSING_CREDENTIALS),
            401,
            b'{"type":"urn:fastapi-scopes:problem:missing_credentials",'
            b'"title":"Authentication required","status":401,'
            b'"detail":"a bearer token is required","code":"missing_credentials"}',
            [("WWW-Authenticate", 'Bearer realm="api"'), NOT_STORED],
            id="missing credentials",
        ),
        pytest.param(
            CredentialsError(),
            400,
            b'{"type":"urn:fastapi-scopes:problem:invalid_request",'
            b'"title":"Malformed credentials","status":400,'
            b'"detail":"the Authorization header is not one bearer credential",'
            b'"code":"invalid_request"}',
            [
                (
                    "WWW-Authenticate",
                    'Bearer realm="api", error="invalid_request", error_description='
                    '"the Authorization header is not one bearer credential"',
                )
            ],
            id="malformed credentials",
        ),
        *(
            pytest.param(
                TokenError(fault),
                401,
                INVALID_TOKEN,
                [
                    (
                        "WWW-Authenticate",
                        'Bearer realm="api", error="invalid_token", '
                        'error_description="the access token is not valid here"',
                    ),
                    NOT_STORED,
                ],
                id=f"invalid token: {fault.value}",
            )
            for fault in TokenFault
        ),
        pytest.param(
            insufficient("a"),
            403,
            b'{"type":"urn:fastapi-scopes:problem:insufficient_scope",'
            b'"title":"Insufficient scope","status":403,'
            b'"detail":"the access token lacks a required scope",'
            b'"code":"insufficient_scope","required":[["a"]]}',
            [
                (
                    "WWW-Authenticate",
                    'Bearer realm="api", error="insufficient_scope", '
                    'error_description="the access token lacks a required scope", scope="a"',
                )
            ],
            id="scopes missing",
        ),
        pytest.param(Decision(Reason.NO_RULE), 403, FORBIDDEN, [], id="no rule"),
        pytest.param(Decision(Reason.DENIED), 403, FORBIDDEN, [], id="DENY"),
        pytest.param(
            Decision(Reason.INSUFFICIENT_SCOPE), 403, FORBIDDEN, [], id="refused by no rule"
        ),
        pytest.param(
            VerifierUnavailable(30),
            503,
            b'{"type":"urn:fastapi-scopes:problem:verifier_unavailable",'
            b'"title":"Verification unavailable","status":503,'
            b'"detail":"tokens cannot be verified now","code":"verifier_unavailable"}',
            [("Retry-After", "30")],
            id="issuer unreachable",
        ),
    ],
)
def test_refusal_is_on_the_wire_as_the_table_says(
    refusal: Decision | CredentialsError | TokenError | VerifierUnavailable,
    status: int,
    body: bytes,
    headers: list[tuple[str, str]],
) -> None:
    problem = problem_of(refusal, API)
    assert problem.status == status
    assert problem.to_json() == body
    assert list(problem.headers()) == headers


@pytest.mark.parametrize(
    ("requirement", "held", "scopes", "required"),
    [
        pytest.param(["b", "a"], (), "a b", b'[["a","b"]]', id="sorted, all of them"),
        pytest.param(["b", "a"], ("a",), "a b", b'[["a","b"]]', id="what is held is named too"),
        pytest.param(
            parse_requirement("a") | ["c", "b"],
            ("b",),
            "a",
            b'[["a"],["b","c"]]',
            id="first on a tie",
        ),
        pytest.param(
            parse_requirement(["x", "y"]) | ["c", "b"],
            ("b",),
            "b c",
            b'[["x","y"],["b","c"]]',
            id="nearest, body in the order written",
        ),
    ],
)
def test_insufficient_scope_names_the_nearest_and_every_alternative(
    requirement: object, held: tuple[str, ...], scopes: str, required: bytes
) -> None:
    problem = problem_of(insufficient(requirement, *held), API)
    assert dict(problem.headers())["WWW-Authenticate"].endswith(f', scope="{scopes}"')
    assert problem.to_json().endswith(b'"code":"insufficient_scope","required":' + required + b"}")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        pytest.param(None, "1", id="unsaid"),
        pytest.param(0, "1", id="zero"),
        pytest.param(-5, "1", id="negative"),
        pytest.param(0.2, "1", id="part of a second"),
        pytest.param(1.2, "2", id="rounded up"),
        pytest.param(60, "60", id="as asked"),
    ],
)
def test_retry_after_is_whole_seconds_and_at_least_one(asked: float | None, told: str) -> None:
    error = VerifierUnavailable() if asked is None else VerifierUnavailable(asked)
    assert dict(problem_of(error, API).headers()) == {"Retry-After": told}


def test_realm_stands_in_every_challenge() -> None:
    refusals = (Decision(Reason.MISSING_CREDENTIALS), CredentialsError(), insufficient("a"))
    for refusal in refusals:
        challenge = dict(problem_of(refusal, ProtectionSpace("my api")).headers())[
            "WWW-Authenticate"
        ]
        assert challenge.startswith('Bearer realm="my api"')


def test_challenge_parameters_stand_in_the_order_of_the_table() -> None:
    challenge = Challenge("api", "insufficient_scope", "why", ("a", "b"))
    assert challenge.to_header() == (
        'Bearer realm="api", error="insufficient_scope", error_description="why", scope="a b"'
    )


@pytest.mark.parametrize("realm", ["api", "my api", "a'b", "!", "~", " "])
def test_realm_is_quotable_text(realm: str) -> None:
    assert require_realm(realm) == realm


@pytest.mark.parametrize(
    "realm", ["", 'a"b', "a\\b", "a\nb", "a\r\nX: y", "\u00e9", "\x7f", None, b"api"]
)
def test_realm_that_breaks_a_challenge_is_a_configuration_error(realm: object) -> None:
    with pytest.raises(ConfigurationError, match="is no quotable ASCII text; write one like 'api'"):
        require_realm(realm)


PUBLISHED = ProtectionSpace("api", ("b", "a"), "https://api.example/.well-known/x")
ELSEWHERE = 'resource_metadata="https://api.example/.well-known/x"'
CHALLENGES = {
    "missing": (
        Decision(Reason.MISSING_CREDENTIALS),
        f'Bearer realm="api", scope="b a", {ELSEWHERE}',
    ),
    "invalid": (
        TokenError(TokenFault.EXPIRED),
        'Bearer realm="api", error="invalid_token", error_description="the access token is not '
        f'valid here", scope="b a", {ELSEWHERE}',
    ),
    "insufficient": (
        insufficient("c"),
        'Bearer realm="api", error="insufficient_scope", error_description="the access token '
        f'lacks a required scope", scope="c", {ELSEWHERE}',
    ),
    "malformed": (
        CredentialsError(),
        'Bearer realm="api", error="invalid_request", error_description='
        '"the Authorization header is not one bearer credential"',
    ),
}


@pytest.mark.parametrize(("refusal", "challenge"), CHALLENGES.values(), ids=CHALLENGES)
def test_challenge_says_what_the_guard_publishes(refusal: Any, challenge: str) -> None:
    assert dict(problem_of(refusal, PUBLISHED).headers())["WWW-Authenticate"] == challenge


def test_what_is_published_stands_nowhere_else() -> None:
    for refusal in (Decision(Reason.NO_RULE), VerifierUnavailable()):
        assert problem_of(refusal, PUBLISHED).challenge is None


BAD_SCOPES = {
    "text": ("a:read", ["challenge_scopes is no list of scopes"]),
    "none": (None, ["challenge_scopes is no list of scopes"]),
    "number": ([1], ["challenge_scopes[0]: 1 is not a scope"]),
    "quote": (
        ['a"b', "a:read", "a\r\nb"],
        ["challenge_scopes[0]: 'a\"b'", "challenge_scopes[2]: 'a\\r"],
    ),
    "beyond-latin-1": (["\u20ac"], ["challenge_scopes[0]: '\u20ac'"]),
}


@pytest.mark.parametrize(("scopes", "problems"), BAD_SCOPES.values(), ids=BAD_SCOPES)
def test_challenge_scopes_that_are_none_are_named(scopes: Any, problems: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        require_challenge_scopes(scopes)
    assert len(caught.value.problems) == len(problems)
    for problem, start in zip(map(str, caught.value.problems), problems, strict=True):
        assert problem.startswith(start)


def test_challenge_scopes_stand_as_they_are_written_and_once() -> None:
    assert require_challenge_scopes(["b", "a", "b"]) == ("b", "a")


def test_codes_are_those_of_all_problems() -> None:
    assert tuple(ProblemCode) == (
        "missing_credentials",
        "invalid_request",
        "invalid_token",
        "insufficient_scope",
        "forbidden",
        "verifier_unavailable",
    )
