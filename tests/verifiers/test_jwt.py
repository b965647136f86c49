import asyncio
import datetime
import logging
import re
from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

import pytest
from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
    StrictStr,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import TokenError
from fastapi_scopes.verifiers import JWTVerifier
from tests.verifiers.minting import NOW, SECRET, mint
from tests.verifiers.verifying import configured, make_verifier, verdict, verified

BAD_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "issuer-empty": ({"issuer": ""}, "issuer is no text"),
    "issuer-empty-list": ({"issuer": []}, "issuer is no text"),
    "issuer-number": ({"issuer": 1}, "issuer is no text"),
    "issuer-bytes": ({"issuer": b"https://as"}, "issuer is no text"),
    "issuer-list-with-none": ({"issuer": ["https://as", None]}, "issuer is no text"),
    "issuer-list-with-empty": ({"issuer": ["https://as", ""]}, "issuer is no text"),
    "audience-empty": ({"audience": ""}, "audience is no text"),
    "audience-false": ({"audience": False}, "audience is no text"),
    "audience-dict": ({"audience": {"a": 1}}, "audience is no text"),
    "audience-list-with-number": ({"audience": ["a", 1]}, "audience is no text"),
    "scopes-claim-empty": ({"scopes_claim": ""}, "scopes_claim is no name"),
    "scopes-claim-none": ({"scopes_claim": None}, "scopes_claim is no name"),
    "scopes-claim-list-empty": ({"scopes_claim": []}, "scopes_claim is no name"),
    "scopes-claim-list-with-number": ({"scopes_claim": ["a", 1]}, "scopes_claim is no name"),
    "scopes-claim-dict-empty": ({"scopes_claim": {}}, "scopes_claim is no name"),
    "scopes-claim-prefix": ({"scopes_claim": {"roles": "a role:"}}, "scopes_claim has the prefix"),
    "scopes-claim-prefix-none": ({"scopes_claim": {"roles": None}}, "scopes_claim has the prefix"),
    "scopes-claim-bytes": ({"scopes_claim": b"scope"}, "scopes_claim is no name"),
    "scopes-claim-class": ({"scopes_claim": dict}, "scopes_claim is no plain function"),
    "scopes-claim-async": ({"scopes_claim": asyncio.sleep}, "scopes_claim is no plain function"),
    "clock-skew-negative": ({"clock_skew": -1}, "clock_skew is no number of seconds from 0 to 300"),
    "clock-skew-301": ({"clock_skew": 301}, "clock_skew is no number"),
    "clock-skew-true": ({"clock_skew": True}, "clock_skew is no number"),
    "max-token-chars-zero": ({"max_token_chars": 0}, "max_token_chars is no number of characters"),
    "max-token-chars-huge": ({"max_token_chars": 262145}, "max_token_chars is no number"),
    "max-token-chars-float": ({"max_token_chars": 1.5}, "max_token_chars is no number"),
    "max-token-chars-true": ({"max_token_chars": True}, "max_token_chars is no number"),
    "parties-empty": (
        {"authorized_parties": []},
        "authorized_parties is empty, so nobody",
    ),
    "parties-text": ({"authorized_parties": "a"}, "write authorized_parties=['a']"),
    "parties-empty-text": ({"authorized_parties": ["a", ""]}, "authorized_parties is no text"),
    "required-empty": ({"require_claims": {}}, "require_claims is no dict of claims"),
    "required-list": ({"require_claims": ["type"]}, "require_claims is no dict of claims"),
    "required-no-name": ({"require_claims": {"": 1}}, "require_claims is no dict of claims"),
    "required-none": ({"require_claims": {"type": None}}, "require_claims asks for a claim that"),
    "leeway-negative": ({"leeway": -1}, "leeway is no number of seconds from 0 to 300"),
    "leeway-301": ({"leeway": 301}, "leeway is no number"),
    "leeway-true": ({"leeway": True}, "leeway is no number"),
    "leeway-nan": ({"leeway": float("nan")}, "leeway is no number"),
    "leeway-infinity": ({"leeway": float("inf")}, "leeway is no number"),
    "leeway-text": ({"leeway": "60"}, "leeway is no number"),
    "leeway-none": ({"leeway": None}, "leeway is no number"),
    "leeway-timedelta": ({"leeway": datetime.timedelta(seconds=1)}, "leeway is no number"),
    "now-number": ({"now": NOW}, "now is no function"),
    "model-none": ({"claims_model": None}, "no subclass of Claims"),
    "model-dict": ({"claims_model": dict}, "no subclass of Claims"),
    "model-instance": ({"claims_model": Claims(exp=1)}, "no subclass of Claims"),
}


@pytest.mark.parametrize(("setting", "problem"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_bad_setting_is_named_by_the_constructor(setting: dict[str, Any], problem: str) -> None:
    problems = configured(SECRET, **setting)

    assert len(problems) == 1
    assert problem in problems[0]


def test_every_bad_setting_is_named_at_once() -> None:
    problems = configured(
        "short", issuer="", audience=[], scopes_claim="", leeway=-1, now=None, claims_model=int
    )

    assert len(problems) == 7


@pytest.mark.parametrize("leeway", [0, 300, 0.5])
def test_leeway_is_seconds_up_to_five_minutes(leeway: float) -> None:
    assert configured(SECRET, leeway=leeway) == ()


@pytest.mark.parametrize("left_out", ["issuer", "audience"])
def test_issuer_and_audience_must_be_decided(left_out: str) -> None:
    config: dict[str, Any] = {"issuer": None, "audience": None}
    del config[left_out]

    with pytest.raises(TypeError, match=left_out):
        JWTVerifier(keys=[SECRET], algorithms=["HS256"], **config)


def test_claims_are_those_of_the_token() -> None:
    token = mint(iss="https://as", aud=["a"], nbf=1, iat=2.5, jti="j", client_id="c", org="o")

    claims = verified(make_verifier(), token)

    assert type(claims) is Claims
    assert claims.model_dump() == {
        "sub": "alice",
        "iss": "https://as",
        "aud": ["a"],
        "exp": NOW + 600,
        "nbf": 1,
        "iat": 2.5,
        "jti": "j",
        "client_id": "c",
        "org": "o",
        "scope": "a:read b",
        "scopes": frozenset({"a:read", "b"}),
    }


class Account(Claims):
    account: UUID
    since: datetime.datetime
    plan: str = "free"


def test_claims_of_your_own_are_converted_from_json() -> None:
    account = "9f1c1f4e-0c5b-4f7e-8d53-0d6d3d1c2b3a"

    claims = verified(make_verifier(claims_model=Account), mint(account=account, since=0))

    assert isinstance(claims, Account)
    assert claims.account == UUID(account)
    assert claims.since.year == 1970
    assert claims.plan == "free"


def test_payload_that_the_model_refuses_is_a_token_error() -> None:
    assert verdict(make_verifier(claims_model=Account), mint(account="x", since=0)) == "claims"


def model(validate: Callable[[Any], Any], mode: Any = "before") -> type[Claims]:
    class Validated(Claims):
        @model_validator(mode=mode)
        @classmethod
        def change(cls, value: Any) -> Any:
            return validate(value)

    return Validated


def raise_(error: BaseException) -> Any:
    raise error


class NarrowSub(Claims):
    sub: StrictStr
    aud: list[StrictStr]


def test_model_may_require_what_claims_leave_optional() -> None:
    verifier = make_verifier(claims_model=NarrowSub)

    assert verdict(verifier, mint(aud=["a"])) == "accept"
    assert verdict(verifier, mint(aud=["a"], without=("sub",))) == "claims"
    assert verdict(verifier, mint(aud="a")) == "claims"


class AddsScope(Claims):
    @field_validator("scopes")
    @classmethod
    def add(cls, value: frozenset[str]) -> frozenset[str]:
        return value | {"admin"}


class MutableScopes(Claims):
    scopes: set[str] = Field(default_factory=set)  # type: ignore[assignment]


class SubAsNumber(Claims):
    sub: int  # type: ignore[assignment]


class LaterExp(Claims):
    @field_validator("exp")
    @classmethod
    def extend(cls, value: float) -> float:
        return value + 3600


CHANGING: dict[str, type[Claims]] = {
    "adds-a-scope": AddsScope,
    "scopes-can-be-changed": MutableScopes,
    "extends-exp": LaterExp,
    "scopes-before": model(lambda value: {**value, "scopes": ["admin"]}),
    "scopes-from-another-claim": model(lambda value: {**value, "scopes": value["sub"].split()}),
    "sub-before": model(lambda value: {**value, "sub": "admin"}),
    "drops-sub": model(lambda value: {k: v for k, v in value.items() if k != "sub"}),
    "another-object": model(lambda _: Claims(exp=1, sub="admin")),
}


@pytest.mark.parametrize("claims_model", CHANGING.values(), ids=CHANGING)
def test_model_that_changes_what_was_verified_is_refused(claims_model: type[Claims]) -> None:
    assert verdict(make_verifier(claims_model=claims_model), mint()) == "claims"


def test_model_that_reads_a_claim_as_another_type_is_refused() -> None:
    assert verdict(make_verifier(claims_model=SubAsNumber), mint(sub="7")) == "claims"


RAISING: dict[str, BaseException] = {
    "value-error": ValueError("canary"),
    "assertion-error": AssertionError("canary"),
    "key-error": KeyError("canary"),
    "type-error": TypeError("canary"),
    "recursion-error": RecursionError("canary"),
    "os-error": OSError("canary"),
    "syntax-error": SyntaxError("canary"),
    "error-of-the-applications-own": type("OwnError", (Exception,), {})("canary"),
}


@pytest.mark.parametrize("error", RAISING.values(), ids=RAISING)
def test_bug_in_a_validator_is_a_token_error(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    verifier = make_verifier(claims_model=model(lambda _: raise_(error)))

    with caplog.at_level(logging.DEBUG):
        assert verdict(verifier, mint()) == "claims"
    assert "canary" not in caplog.text


def test_bug_in_a_validator_is_logged_by_its_type_and_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    verifier = make_verifier(claims_model=model(lambda _: raise_(KeyError("canary"))))

    assert verdict(verifier, mint()) == "claims"
    (message,) = caplog.messages
    known = r"claims model model\.<locals>\.Validated raised KeyError at test_jwt\.py:\d+"
    assert re.fullmatch(known, message)


class Strict(Claims):
    tenant: str
    floor: int = Field(alias="f")
    notes: dict[str, int] | None = None


@pytest.mark.parametrize(
    ("claims", "refused"),
    [
        ({"tenant": 7, "f": 1}, "'tenant' (string_type)"),
        ({}, "'tenant' (missing), 'f' (missing)"),
        ({"tenant": "t", "f": "canary"}, "'f' (int_parsing)"),
        ({"tenant": "t", "f": 1, "notes": {"canary": "canary"}}, "'notes' (int_parsing)"),
    ],
)
def test_refusal_by_the_model_names_its_fields_and_nothing_of_the_token(
    claims: dict[str, object], refused: str
) -> None:
    verifier = make_verifier(claims_model=Strict)

    with pytest.raises(TokenError) as caught:
        asyncio.run(verifier.verify(mint(**claims)))
    assert caught.value.detail == f"the claims model refuses {refused}"


def test_refusal_by_the_model_has_no_context_that_quotes_claims() -> None:
    verifier = make_verifier(claims_model=Account)

    with pytest.raises(Exception, match="claims") as caught:
        asyncio.run(verifier.verify(mint(account="x", since=0)))
    assert caught.value.__context__ is None


class AliasedScopes(Claims):
    scopes: frozenset[str] = Field(default=frozenset(), alias="perms")


class ValidationAliasedScopes(Claims):
    scopes: frozenset[str] = Field(default=frozenset(), validation_alias="perms")


class ChosenScopes(Claims):
    scopes: frozenset[str] = Field(
        default=frozenset(), validation_alias=AliasChoices("scopes", "perms")
    )


class CamelClaims(Claims):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class ConstantScopes(Claims):
    scopes: ClassVar[frozenset[str]] = frozenset({"admin"})  # type: ignore[misc]


@pytest.mark.parametrize(
    ("claims_model", "problem"),
    [
        (AliasedScopes, "reads 'scopes' by an alias"),
        (ValidationAliasedScopes, "reads 'scopes' by an alias"),
        (ChosenScopes, "reads 'scopes' by an alias"),
        (CamelClaims, "reads 'client_id' by an alias"),
        (ConstantScopes, "lacks the field 'scopes'"),
    ],
)
def test_model_that_reads_verified_claims_elsewhere_is_refused(
    claims_model: type[Claims], problem: str
) -> None:
    problems = configured(SECRET, claims_model=claims_model)

    assert len(problems) == 1
    assert problem in problems[0]


def test_configuration_is_a_copy() -> None:
    audiences, keys, algorithms = ["a"], [SECRET], ["HS256"]
    verifier = make_verifier(audience=audiences, keys=keys, algorithms=algorithms)
    audiences.append("b")
    keys.clear()
    algorithms.append("HS512")

    assert verdict(verifier, mint(aud="a")) == "accept"
    assert verdict(verifier, mint(aud="b")) == "audience"
    assert verdict(verifier, mint(aud="a", algorithm="HS512")) == "algorithm"


def test_concurrent_tokens_do_not_mix() -> None:
    verifier: JWTVerifier = make_verifier()
    names = [f"user-{index}" for index in range(50)]

    async def verify_all() -> list[Claims]:
        return await asyncio.gather(*(verifier.verify(mint(sub=name)) for name in names))

    assert [each.sub for each in asyncio.run(verify_all())] == names
