import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.decisions import Decision, Reason, decide
from fastapi_scopes.core.grants import Grants
from fastapi_scopes.core.requirements import (
    AUTHENTICATED,
    DENY,
    OPTIONAL,
    PUBLIC,
    all_of,
    any_of,
    parse_requirement,
)
from fastapi_scopes.core.scope_map import Rule
from fastapi_scopes.core.templates import Pattern
from tests.core.strategies import held_scopes, requirement_likes

ALLOWING = {Reason.PUBLIC, Reason.ANONYMOUS, Reason.AUTHENTICATED, Reason.GRANTED}


def rule_of(requirement: object) -> Rule:
    return Rule("GET", Pattern.parse("/a"), parse_requirement(requirement))


def claims_with(*scopes: str) -> Claims:
    return Claims(exp=1, scopes=frozenset(scopes))


NO_RULE = object()


@pytest.mark.parametrize(
    ("requirement", "held", "reason"),
    [
        pytest.param(PUBLIC, None, Reason.PUBLIC, id="PUBLIC, anonymous"),
        pytest.param(PUBLIC, (), Reason.PUBLIC, id="PUBLIC, known"),
        pytest.param(OPTIONAL, None, Reason.ANONYMOUS, id="OPTIONAL, anonymous"),
        pytest.param(OPTIONAL, (), Reason.AUTHENTICATED, id="OPTIONAL, known"),
        pytest.param(AUTHENTICATED, None, Reason.MISSING_CREDENTIALS, id="[], anonymous"),
        pytest.param(AUTHENTICATED, (), Reason.AUTHENTICATED, id="[], known"),
        pytest.param("a", None, Reason.MISSING_CREDENTIALS, id="scope, anonymous"),
        pytest.param("a", (), Reason.INSUFFICIENT_SCOPE, id="scope, without it"),
        pytest.param("a", ("b",), Reason.INSUFFICIENT_SCOPE, id="scope, with another"),
        pytest.param("a", ("a",), Reason.GRANTED, id="scope, with it"),
        pytest.param(["a", "b"], ("a",), Reason.INSUFFICIENT_SCOPE, id="all, one lacking"),
        pytest.param(["a", "b"], ("a", "b"), Reason.GRANTED, id="all, all there"),
        pytest.param(any_of("a", "b"), ("b",), Reason.GRANTED, id="any, one there"),
        pytest.param(any_of("a", "b"), ("c",), Reason.INSUFFICIENT_SCOPE, id="any, none there"),
        pytest.param("a", ("admin",), Reason.GRANTED, id="scope, admin"),
        pytest.param(all_of("a", "b"), ("admin",), Reason.GRANTED, id="all, admin"),
        pytest.param(DENY, None, Reason.MISSING_CREDENTIALS, id="DENY, anonymous"),
        pytest.param(DENY, ("a",), Reason.DENIED, id="DENY, known"),
        pytest.param(DENY, ("admin",), Reason.DENIED, id="DENY, admin"),
        pytest.param(NO_RULE, None, Reason.MISSING_CREDENTIALS, id="no rule, anonymous"),
        pytest.param(NO_RULE, ("a",), Reason.NO_RULE, id="no rule, known"),
        pytest.param(NO_RULE, ("admin",), Reason.NO_RULE, id="no rule, admin"),
    ],
)
def test_every_caller_meets_one_reason(
    requirement: object, held: tuple[str, ...] | None, reason: Reason
) -> None:
    rule = None if requirement is NO_RULE else rule_of(requirement)
    claims = None if held is None else claims_with(*held)
    decision = decide(rule, claims, Grants("admin"))
    assert decision.reason is reason
    assert decision.allowed is (reason in ALLOWING)
    assert decision.rule is rule


@pytest.mark.parametrize("reason", Reason)
def test_only_four_reasons_allow(reason: Reason) -> None:
    assert Decision(reason).allowed is (reason in ALLOWING)


@pytest.mark.parametrize(
    ("requirement", "held", "nearest", "missing"),
    [
        pytest.param("a", (), ("a",), ("a",), id="one"),
        pytest.param(["b", "a"], (), ("a", "b"), ("a", "b"), id="all, sorted"),
        pytest.param(["a", "b", "c"], ("b",), ("a", "b", "c"), ("a", "c"), id="what is there"),
        pytest.param(any_of("b", "a"), (), ("b",), ("b",), id="the first written on a tie"),
        pytest.param(any_of(["a", "b"], "c"), (), ("c",), ("c",), id="the shorter"),
        pytest.param(any_of(["a", "b"], "c"), ("a",), ("a", "b"), ("b",), id="tie by what is held"),
        pytest.param(
            any_of("x", ["a", "b", "c"]), ("a", "b"), ("x",), ("x",), id="fewest, not most held"
        ),
        pytest.param(
            any_of(["x", "y"], ["a", "b", "c"]),
            ("a", "b"),
            ("a", "b", "c"),
            ("c",),
            id="fewest lacking, though longer",
        ),
    ],
)
def test_refusal_names_the_alternative_that_lacks_fewest(
    requirement: object, held: tuple[str, ...], nearest: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    decision = decide(rule_of(requirement), claims_with(*held), Grants())
    assert decision.reason is Reason.INSUFFICIENT_SCOPE
    assert decision.nearest == nearest
    assert decision.missing == missing


@pytest.mark.parametrize("requirement", [PUBLIC, OPTIONAL])
def test_who_passes_unknown_has_no_claims(requirement: object) -> None:
    assert decide(rule_of(requirement), None, Grants()).claims is None


def test_public_rule_looks_at_no_claims() -> None:
    assert decide(rule_of(PUBLIC), claims_with("a"), Grants()).claims is None


@pytest.mark.parametrize("requirement", [OPTIONAL, AUTHENTICATED, "a"])
def test_who_passes_known_has_the_claims(requirement: object) -> None:
    claims = claims_with("a")
    assert decide(rule_of(requirement), claims, Grants()).claims is claims


def test_decision_does_not_show_claims() -> None:
    claims = Claims(exp=1, sub="alice", scopes=frozenset({"a"}))
    assert "alice" not in repr(decide(rule_of("a"), claims, Grants()))


@given(
    requirement_likes | st.sampled_from([PUBLIC, OPTIONAL, AUTHENTICATED, DENY]),
    held_scopes,
    held_scopes,
    st.sampled_from([Grants(), Grants("a"), Grants("admin")]),
)
def test_fewer_scopes_never_allow_more(
    requirement: object, held: frozenset[str], more: frozenset[str], grants: Grants
) -> None:
    rule = rule_of(requirement)
    with_fewer = decide(rule, claims_with(*held), grants)
    with_more = decide(rule, claims_with(*held, *more), grants)
    assert with_more.allowed >= with_fewer.allowed
    assert len(with_more.missing) <= len(with_fewer.missing)


@given(requirement_likes, held_scopes)
def test_missing_scopes_once_held_are_enough(requirement: object, held: frozenset[str]) -> None:
    rule = rule_of(requirement)
    decision = decide(rule, claims_with(*held), Grants())
    assert set(decision.missing) == set(decision.nearest) - (held if decision.missing else set())
    assert decide(rule, claims_with(*held, *decision.missing), Grants()).allowed
