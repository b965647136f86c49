"""A token grants what is in the claims that `scopes_claim` names, and nothing like it."""

import logging
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import pytest

from fastapi_scopes.verifiers.tokens.scopes_claim import ScopesReader
from tests.verifiers.minting import mint
from tests.verifiers.verifying import make_verifier, verdict, verified

DOTTED = "resource_access.api.example.com.roles"
PREFIXED = {"scp": "", "roles": "role:", "groups": "group:"}

READ: dict[str, tuple[Any, dict[str, Any], set[str]]] = {
    "text": ("scp", {"scp": "a b"}, {"a", "b"}),
    "text-empty": ("scp", {"scp": ""}, set()),
    "null": ("scp", {"scp": None}, set()),
    "absent": ("scp", {}, set()),
    "list": ("scp", {"scp": ["a", "b", "a"]}, {"a", "b"}),
    "list-empty": ("scp", {"scp": []}, set()),
    "list-with-a-blank": ("groups", {"groups": ["a", "Domain Users"]}, {"a"}),
    "list-with-an-accent": ("groups", {"groups": ["Équipe", "a"]}, {"a"}),
    "list-with-others": ("scp", {"scp": ["a", 7, None, True, ["b"], {"c": 1}, ""]}, {"a"}),
    "list-of-none": ("groups", {"groups": ["Team Lead"]}, set()),
    "object": ("roles", {"roles": {"a": {"1": "x"}, "b": True}}, {"a", "b"}),
    "object-false-null": (
        "roles",
        {"roles": {"a": False, "b": None, "c": 0, "d": "", "e": []}},
        {"c", "d", "e"},
    ),
    "object-with-a-blank": ("roles", {"roles": {"a b": True, "c": True}}, {"c"}),
    "object-empty": ("roles", {"roles": {}}, set()),
    "several": (["scp", "roles"], {"scp": "a", "roles": ["b"]}, {"a", "b"}),
    "several-one-absent": (("scp", "roles"), {"roles": ["b"]}, {"b"}),
    "several-of-one": (["scope"], {"scope": "a"}, {"a"}),
    "nested": ("realm_access.roles", {"realm_access": {"roles": ["a"]}}, {"a"}),
    "nested-in-text": ("realm_access.roles", {"realm_access": "roles"}, set()),
    "nested-in-list": ("realm_access.roles", {"realm_access": ["roles"]}, set()),
    "url": ("https://x.example/roles", {"https://x.example/roles": ["a"]}, {"a"}),
    "urn": ("urn:zitadel:roles", {"urn:zitadel:roles": {"a": {"1": "x"}}}, {"a"}),
    "dotted": (DOTTED, {"resource_access": {"api.example.com": {"roles": ["a"]}}}, {"a"}),
    "longest": ("a.b.c", {"a": {"b": {"c": "x"}}, "a.b": {"c": "y"}}, {"y"}),
    "longest-of-all": ("a.b.c", {"a.b.c": "z", "a.b": {"c": "y"}}, {"z"}),
    "without-going-back": ("a.b.c", {"a": {"b": {"c": "x"}}, "a.b": {"d": "y"}}, set()),
    "without-going-back-within": ("x.a.b", {"x": {"a": {"b": "p"}, "a.b": None}}, set()),
    "without-going-back-from-a-text": ("a.b.c", {"a": {"b": {"c": "x"}}, "a.b": "y"}, set()),
    "another-client": (DOTTED, {"resource_access": {"api": {"roles": ["a"]}}}, set()),
    "prefixes": (PREFIXED, {"scp": "a", "roles": ["b"]}, {"a", "role:b"}),
    "prefix-of-another": (PREFIXED, {"scp": "role:admin a", "roles": ["b"]}, {"a", "role:b"}),
    "prefix-of-another-in-list": (
        PREFIXED,
        {"roles": ["group:x", "y"], "groups": ["role:z"]},
        {"role:y"},
    ),
    "own-prefix": (PREFIXED, {"roles": ["role:x"]}, {"role:role:x"}),
    "prefix-without-a-scope": (PREFIXED, {"roles": ["Team Lead", "", 7]}, set()),
    "prefix-within-a-prefix": (
        {"a": "r:", "b": "r:s:"},
        {"a": ["s:admin", "x"], "b": ["y"]},
        {"r:x", "r:s:y"},
    ),
    "one-prefix-for-two": ({"a": "r:", "b": "r:"}, {"a": ["x"], "b": ["y"]}, {"r:x", "r:y"}),
    "function": (lambda claims: claims["bits"], {"bits": ["a", "b"]}, {"a", "b"}),
    "function-set": (lambda _: {"a"}, {}, {"a"}),
    "function-generator": (lambda _: (each for each in "ab"), {}, {"a", "b"}),
    "function-empty": (lambda _: (), {}, set()),
    "function-with-others": (lambda _: ["a", "b c", 7, None], {}, {"a"}),
}


@pytest.mark.parametrize(("setting", "claims", "scopes"), READ.values(), ids=READ)
def test_scopes_are_those_of_the_claims_that_are_named(
    setting: Any, claims: dict[str, Any], scopes: set[str]
) -> None:
    verifier = make_verifier(scopes_claim=setting)

    without = () if "scope" in claims else ("scope",)
    assert verified(verifier, mint(claims, without=without)).scopes == scopes


REFUSED: dict[str, tuple[Any, dict[str, Any]]] = {
    "text-with-an-accent": ("scp", {"scp": "a Équipe"}),
    "text-with-a-tab": ("scp", {"scp": "a\tb"}),
    "text-with-a-quote": ("scp", {"scp": 'a "b"'}),
    "text-among-several": (["scp", "roles"], {"scp": "a", "roles": "b\u00a0c"}),
    "text-with-a-prefix": (PREFIXED, {"roles": "b\nc"}),
    "number": ("scp", {"scp": 7}),
    "zero": ("scp", {"scp": 0}),
    "true": ("admin", {"admin": True}),
    "false": ("admin", {"admin": False}),
    "too-many": ("scp", {"scp": [f"s{number}" for number in range(513)]}),
    "too-many-in-several": (
        ["scp", "roles"],
        {"scp": [f"s{n}" for n in range(300)], "roles": [f"r{n}" for n in range(300)]},
    ),
}


@pytest.mark.parametrize(("setting", "claims"), REFUSED.values(), ids=REFUSED)
def test_claim_that_is_no_scopes_refuses_the_token(setting: Any, claims: dict[str, Any]) -> None:
    assert verdict(make_verifier(scopes_claim=setting), mint(**claims)) == "scopes"


@pytest.mark.parametrize("kind", [list, " ".join])
def test_scopes_are_at_most_512_and_what_is_dropped_does_not_count(
    kind: Callable[..., Any],
) -> None:
    verifier = make_verifier(scopes_claim=["scp", "groups"])
    names = [f"s{number}" for number in range(512)]

    assert len(verified(verifier, mint(scp=kind(names), groups=["a b"] * 600)).scopes) == 512
    assert verdict(verifier, mint(scp=kind([*names, "one-more"]))) == "scopes"


def raising(claims: dict[str, Any]) -> list[str]:
    raise KeyError(claims["sub"])


def raising_late(claims: dict[str, Any]) -> Iterator[str]:
    yield "a"
    raise KeyError(claims["sub"])


async def waiting() -> list[str]:
    return ["a"]


FUNCTIONS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "raises": (raising, "raised KeyError"),
    "raises-late": (raising_late, "raised KeyError"),
    "text": (lambda _: "a b", "returned a 'str'"),
    "bytes": (lambda _: b"ab", "returned a 'bytes'"),
    "none": (lambda _: None, "raised TypeError"),
    "number": (lambda _: 7, "raised TypeError"),
    "awaitable": (lambda _: Awaitable(), "raised TypeError"),
}


class Awaitable:
    def __await__(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize(("function", "reason"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_function_that_returns_no_scopes_refuses_the_token(
    function: Callable[[dict[str, Any]], Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert verdict(make_verifier(scopes_claim=function), mint(sub="alice")) == "scopes"
    assert reason in caplog.text
    assert "alice" not in caplog.text


def test_function_gets_a_copy_of_the_claims_once_for_each_token() -> None:
    seen: list[dict[str, Any]] = []

    def scopes_of(claims: dict[str, Any]) -> list[str]:
        seen.append(claims)
        scopes = list(claims["org"]["roles"])
        claims["org"]["roles"].append("admin")
        claims["sub"] = "mallory"
        return scopes

    verifier, token = make_verifier(scopes_claim=scopes_of), mint(org={"roles": ["a"]})
    first, second = verified(verifier, token), verified(verifier, token)

    assert len(seen) == 1
    assert [each.scopes for each in (first, second)] == [{"a"}, {"a"}]
    assert first.sub == "alice"
    assert first.model_extra is not None
    assert first.model_extra["org"] == {"roles": ["a"]}


def test_scopes_are_plain_texts_whatever_the_function_returns() -> None:
    class Role(StrEnum):
        ADMIN = "admin"

    scopes = verified(make_verifier(scopes_claim=lambda _: [Role.ADMIN]), mint()).scopes

    assert scopes == {"admin"}
    assert {type(each) for each in scopes} == {str}


def test_function_without_an_end_ends() -> None:
    def endless(_: dict[str, Any]) -> Iterator[str]:
        while True:
            yield "not a scope"

    assert verified(make_verifier(scopes_claim=endless), mint()).scopes == frozenset()


def test_limits_are_applied_last() -> None:
    verifier = make_verifier(scopes_claim=PREFIXED, allowed_scopes=["role:reader", "a"])

    assert verified(verifier, mint(scp="a b", roles=["reader", "admin"])).scopes == {
        "role:reader",
        "a",
    }


def test_what_is_dropped_is_noted_and_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fastapi_scopes")
    verified(make_verifier(scopes_claim="groups"), mint(groups=["Domain Users", "a", "Équipe"]))

    assert caplog.messages == ["2 values of 'groups' are no scopes, and grant nothing"]


OTHER_NAMES: dict[str, tuple[Any, dict[str, Any], str | None]] = {
    "scp": ("scope", {"scp": "a"}, "'scope', but a claim 'scp'"),
    "roles": ("scp", {"roles": ["a"]}, "'scp', but a claim 'roles'"),
    "scope": ("permissions", {"scope": "a"}, "'permissions', but a claim 'scope'"),
    "several": (["scp", "roles"], {"groups": ["a"]}, "'scp', 'roles', but a claim 'groups'"),
    "function": (lambda _: [], {"permissions": ["a"]}, "a function, but a claim 'permissions'"),
    "empty": ("scp", {"roles": [], "scope": "", "groups": None}, None),
    "held": ("scp", {"scp": "a", "roles": ["b"]}, None),
    "configured": (["scope", "roles"], {"scope": "", "roles": []}, None),
    "no-usual-name": ("scp", {"rights": ["a"]}, None),
}


@pytest.mark.parametrize(("setting", "claims", "text"), OTHER_NAMES.values(), ids=OTHER_NAMES)
def test_scopes_under_another_name_are_one_warning(
    setting: Any,
    claims: dict[str, Any],
    text: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    warned: set[tuple[str, str]] = set()
    for _ in range(2):
        reader = ScopesReader(setting, warned=warned)
        for sub in ("alice", "bob"):
            reader.scopes_of({"sub": sub, **claims})

    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(warnings) == (text is not None)
    assert all(text in each for each in warnings if text is not None)


def test_verifiers_of_one_process_warn_once(caplog: pytest.LogCaptureFixture) -> None:
    # A name that no other test has.
    for _ in range(2):
        verified(make_verifier(scopes_claim="asked-for-twice"), mint(scope="a"))

    assert caplog.messages == [
        "a token holds no scopes in 'asked-for-twice', but a claim 'scope'; set "
        "scopes_claim='scope' if its scopes are there"
    ]
