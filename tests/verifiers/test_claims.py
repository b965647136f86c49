from typing import Any

import pytest

from fastapi_scopes.errors import TokenError
from tests.verifiers.minting import NOW, b64, mint, mint_raw
from tests.verifiers.verifying import make_verifier, verdict, verified

LAST_SECOND = 253402300799

TIMES: dict[str, tuple[dict[str, Any], str]] = {
    "exp-next-second": ({"exp": NOW + 1}, "accept"),
    "exp-now": ({"exp": NOW}, "expired"),
    "exp-second-ago": ({"exp": NOW - 1}, "expired"),
    "exp-fraction-left": ({"exp": NOW + 0.5}, "accept"),
    "exp-fraction-ago": ({"exp": NOW - 0.5}, "expired"),
    "exp-zero": ({"exp": 0}, "expired"),
    "exp-negative": ({"exp": -1}, "claims"),
    "exp-true": ({"exp": True}, "claims"),
    "exp-null": ({"exp": None}, "claims"),
    "exp-text": ({"exp": str(NOW + 600)}, "claims"),
    "exp-empty": ({"exp": ""}, "claims"),
    "exp-list": ({"exp": [NOW + 600]}, "claims"),
    "exp-object": ({"exp": {"a": 1}}, "claims"),
    "exp-last-second": ({"exp": LAST_SECOND}, "accept"),
    "exp-after-the-last": ({"exp": LAST_SECOND + 1}, "claims"),
    "exp-1e400-digits": ({"exp": 10**400}, "claims"),
    "nbf-now": ({"nbf": NOW}, "accept"),
    "nbf-within-the-skew": ({"nbf": NOW + 10}, "accept"),
    "nbf-beyond-the-skew": ({"nbf": NOW + 10.5}, "not_yet_valid"),
    "nbf-null": ({"nbf": None}, "claims"),
    "nbf-true": ({"nbf": True}, "claims"),
    "nbf-text": ({"nbf": "0"}, "claims"),
    "iat-now": ({"iat": NOW}, "accept"),
    "iat-within-the-skew": ({"iat": NOW + 10}, "accept"),
    "iat-beyond-the-skew": ({"iat": NOW + 10.5}, "not_yet_valid"),
    "iat-null": ({"iat": None}, "claims"),
    "iat-list": ({"iat": [1]}, "claims"),
    "iat-negative": ({"iat": -1}, "claims"),
}


@pytest.mark.parametrize(("claims", "answer"), TIMES.values(), ids=TIMES)
def test_times_are_numeric_dates_around_now(claims: dict[str, Any], answer: str) -> None:
    assert verdict(make_verifier(), mint(**claims)) == answer


def test_token_without_exp_is_refused() -> None:
    assert verdict(make_verifier(), mint(without=("exp",))) == "claims"


def nested_in(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        # The claims themselves are the first level.
        (nested_in(63), "accept"),
        (nested_in(64), "payload"),
        ({"a": nested_in(63)}, "payload"),
        ([[]] * 200, "accept"),
        ([{"a": []}] * 200, "accept"),
        ("[" * 200, "accept"),
        (["{" * 200, nested_in(64)], "payload"),
    ],
)
def test_claims_nest_64_deep_however_many_brackets_they_have(value: Any, answer: str) -> None:
    assert verdict(make_verifier(), mint(x=value)) == answer


@pytest.mark.parametrize(
    ("claims", "answer"),
    [
        ({"exp": NOW - 29}, "accept"),
        ({"exp": NOW - 30}, "expired"),
        ({"nbf": NOW + 30}, "accept"),
        ({"nbf": NOW + 31}, "not_yet_valid"),
        ({"iat": NOW + 30}, "accept"),
        ({"iat": NOW + 31}, "not_yet_valid"),
    ],
)
def test_leeway_moves_every_time(claims: dict[str, Any], answer: str) -> None:
    assert verdict(make_verifier(leeway=30), mint(**claims)) == answer


SKEWS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "none-iat": ({"clock_skew": 0}, {"iat": NOW + 1}, "not_yet_valid"),
    "none-nbf": ({"clock_skew": 0}, {"nbf": NOW + 1}, "not_yet_valid"),
    "own-iat": ({"clock_skew": 60}, {"iat": NOW + 60}, "accept"),
    "own-iat-beyond": ({"clock_skew": 60}, {"iat": NOW + 61}, "not_yet_valid"),
    "never-for-exp": ({"clock_skew": 60}, {"exp": NOW}, "expired"),
    "greater-than-leeway": ({"clock_skew": 60, "leeway": 5}, {"nbf": NOW + 60}, "accept"),
    "leeway-is-greater": ({"clock_skew": 5, "leeway": 60}, {"nbf": NOW + 60}, "accept"),
    "leeway-is-greater-beyond": ({"leeway": 60}, {"nbf": NOW + 61}, "not_yet_valid"),
    "leeway-alone": ({"clock_skew": 0, "leeway": 5}, {"iat": NOW + 5}, "accept"),
}


@pytest.mark.parametrize(("settings", "claims", "answer"), SKEWS.values(), ids=SKEWS)
def test_skew_of_clocks_is_for_what_lies_ahead(
    settings: dict[str, Any], claims: dict[str, Any], answer: str
) -> None:
    assert verdict(make_verifier(**settings), mint(**claims)) == answer


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW - 12}, "expired, 12.0 s late"),
        ({"iat": NOW + 10.5}, "not_yet_valid, 10.5 s early by 'iat'"),
        ({"nbf": NOW + 3600}, "not_yet_valid, 3600.0 s early by 'nbf'"),
    ],
)
def test_error_says_by_how_many_seconds_a_token_is_early_or_late(
    claims: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TokenError) as raised:
        verified(make_verifier(), mint(**claims))

    assert raised.value.reason == reason


PARTIES: dict[str, tuple[dict[str, Any], str]] = {
    "azp": ({"azp": "web"}, "accept"),
    "client-id": ({"client_id": "web"}, "accept"),
    "cid": ({"cid": "web"}, "accept"),
    "appid": ({"appid": "web"}, "accept"),
    "another-of-them": ({"azp": "cli"}, "accept"),
    "azp-before-client-id": ({"azp": "evil", "client_id": "web"}, "authorized_party"),
    "client-id-before-cid": ({"client_id": "evil", "cid": "web"}, "authorized_party"),
    "azp-of-ours": ({"azp": "web", "client_id": "evil"}, "accept"),
    "azp-null": ({"azp": None, "client_id": "web"}, "accept"),
    "azp-empty": ({"azp": "", "cid": "web"}, "accept"),
    "client-id-empty": ({"client_id": "", "appid": "web"}, "accept"),
    "client-id-null": ({"client_id": None, "appid": "web"}, "accept"),
    "azp-and-client-id-null": ({"azp": None, "client_id": None, "cid": "web"}, "accept"),
    "azp-before-client-id-null": ({"azp": "evil", "client_id": None}, "authorized_party"),
    "all-null": (dict.fromkeys(("azp", "client_id", "cid", "appid")), "authorized_party"),
    "client-id-list": ({"client_id": [], "appid": "web"}, "claims"),
    "client-id-false": ({"client_id": False, "appid": "web"}, "claims"),
    "cid-null": ({"cid": None, "appid": "web"}, "accept"),
    "azp-list": ({"azp": ["web"], "client_id": "web"}, "authorized_party"),
    "azp-number": ({"azp": 0, "client_id": "web"}, "authorized_party"),
    "azp-false": ({"azp": False, "client_id": "web"}, "authorized_party"),
    "prefix": ({"azp": "web2"}, "authorized_party"),
    "case": ({"azp": "WEB"}, "authorized_party"),
    "absent": ({}, "authorized_party"),
    "all-empty": ({"azp": "", "cid": "", "appid": None}, "authorized_party"),
    "in-the-audience-alone": ({"aud": ["web"]}, "authorized_party"),
}


@pytest.mark.parametrize(("claims", "answer"), PARTIES.values(), ids=PARTIES)
def test_token_is_of_a_client_that_may_call(claims: dict[str, Any], answer: str) -> None:
    assert verdict(make_verifier(authorized_parties=["web", "cli"]), mint(**claims)) == answer


REQUIRED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "equal": ({"type": "access"}, {"type": "access"}, "accept"),
    "another": ({"type": "access"}, {"type": "other"}, "claims"),
    "case": ({"type": "access"}, {"type": "Access"}, "claims"),
    "absent": ({"type": "access"}, {}, "claims"),
    "null": ({"type": "access"}, {"type": None}, "claims"),
    "in-a-list": ({"type": "access"}, {"type": ["access"]}, "claims"),
    "all-of-them": ({"type": "access", "a": 1}, {"type": "access"}, "claims"),
    "true": ({"ok": True}, {"ok": True}, "accept"),
    "true-is-no-1": ({"ok": True}, {"ok": 1}, "claims"),
    "1-is-no-true": ({"ok": 1}, {"ok": True}, "claims"),
    "0-is-no-false": ({"ok": 0}, {"ok": False}, "claims"),
    "number": ({"ok": 1}, {"ok": 1.0}, "accept"),
    "list": ({"ok": [1, "a"]}, {"ok": [1, "a"]}, "accept"),
    "list-longer": ({"ok": [1]}, {"ok": [1, 2]}, "claims"),
    "list-of-true": ({"ok": [1]}, {"ok": [True]}, "claims"),
    "object": ({"ok": {"a": 1}}, {"ok": {"a": 1}}, "accept"),
    "object-more": ({"ok": {"a": 1}}, {"ok": {"a": 1, "b": 2}}, "claims"),
    "object-of-true": ({"ok": {"a": 1}}, {"ok": {"a": True}}, "claims"),
    "nested": ({"org.id": "acme"}, {"org": {"id": "acme"}}, "accept"),
    "nested-another": ({"org.id": "acme"}, {"org": {"id": "evil"}}, "claims"),
    "dotted-before-nested": ({"org.id": "acme"}, {"org.id": "x", "org": {"id": "acme"}}, "claims"),
}


@pytest.mark.parametrize(("required", "claims", "answer"), REQUIRED.values(), ids=REQUIRED)
def test_required_claims_are_equal(
    required: dict[str, Any], claims: dict[str, Any], answer: str
) -> None:
    assert verdict(make_verifier(require_claims=required), mint(**claims)) == answer


def test_required_claims_are_those_that_were_passed() -> None:
    required: dict[str, Any] = {"org": {"id": "acme"}}
    verifier = make_verifier(require_claims=required)
    required["org"]["id"] = "evil"
    required["type"] = "access"

    assert verdict(verifier, mint(org={"id": "acme"})) == "accept"
    assert verdict(verifier, mint(org={"id": "evil"})) == "claims"


@pytest.mark.parametrize("claims", [{}, {"nbf": 0}, {"iat": 0}])
def test_clock_that_answers_nan_refuses(claims: dict[str, Any]) -> None:
    verifier = make_verifier(now=lambda: float("nan"))

    assert verdict(verifier, mint(**claims)) == "expired"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 5000])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "other"])
def test_number_without_a_finite_value_is_refused(name: str, value: str) -> None:
    times = '"exp":1800000600,' if name != "exp" else ""

    assert verdict(make_verifier(), mint(f'{{{times}"{name}":{value}}}')) == "payload"


@pytest.mark.parametrize("exp", ["1e10", "1800000600.0", "18000006e2"])
def test_number_with_an_exponent_or_fraction_is_a_numeric_date(exp: str) -> None:
    assert verdict(make_verifier(), mint(f'{{"exp":{exp}}}')) == "accept"


ISSUER = "https://as.example"
ISSUERS: dict[str, tuple[dict[str, Any], Any, str]] = {
    "match": ({"iss": ISSUER}, ISSUER, "accept"),
    "one-of": ({"iss": ISSUER}, ["https://b", ISSUER], "accept"),
    "missing": ({}, ISSUER, "issuer"),
    "slash": ({"iss": ISSUER + "/"}, ISSUER, "issuer"),
    "prefix": ({"iss": ISSUER[:-1]}, ISSUER, "issuer"),
    "case": ({"iss": ISSUER.upper()}, ISSUER, "issuer"),
    "nul": ({"iss": ISSUER + "\0"}, ISSUER, "issuer"),
    "empty": ({"iss": ""}, ISSUER, "issuer"),
    "null": ({"iss": None}, ISSUER, "issuer"),
    "number": ({"iss": 1}, ISSUER, "issuer"),
    "list": ({"iss": [ISSUER]}, ISSUER, "issuer"),
    "list-of-list": ({"iss": [ISSUER]}, [ISSUER], "issuer"),
    "object": ({"iss": {ISSUER: ISSUER}}, ISSUER, "issuer"),
    "opt-out": ({"iss": "anybody"}, None, "accept"),
    "opt-out-missing": ({}, None, "accept"),
    "opt-out-null": ({"iss": None}, None, "accept"),
    "opt-out-empty": ({"iss": ""}, None, "accept"),
    "opt-out-number": ({"iss": 0}, None, "issuer"),
    "opt-out-false": ({"iss": False}, None, "issuer"),
    "opt-out-empty-list": ({"iss": []}, None, "issuer"),
    "opt-out-list": ({"iss": [ISSUER]}, None, "issuer"),
}


@pytest.mark.parametrize(("claims", "issuer", "answer"), ISSUERS.values(), ids=ISSUERS)
def test_issuer_is_one_exact_text(claims: dict[str, Any], issuer: Any, answer: str) -> None:
    assert verdict(make_verifier(issuer=issuer), mint(**claims)) == answer


API = "https://api.example"
AUDIENCES: dict[str, tuple[dict[str, Any], Any, str]] = {
    "match": ({"aud": API}, API, "accept"),
    "in-list": ({"aud": ["https://other", API]}, API, "accept"),
    "one-of": ({"aud": API}, ["https://other", API], "accept"),
    "configured-tuple": ({"aud": [API]}, (API,), "accept"),
    "missing": ({}, API, "audience"),
    "prefix": ({"aud": API + "2"}, API, "audience"),
    "case": ({"aud": "https://API.example"}, API, "audience"),
    "slash": ({"aud": API + "/"}, API, "audience"),
    "nul": ({"aud": API + "\0"}, API, "audience"),
    "two-in-one-text": ({"aud": f"{API} https://other"}, API, "audience"),
    "empty-list": ({"aud": []}, API, "audience"),
    "empty-text": ({"aud": ""}, API, "audience"),
    "null": ({"aud": None}, API, "audience"),
    "number": ({"aud": 1}, API, "audience"),
    "object": ({"aud": {API: 1}}, API, "audience"),
    "list-with-number": ({"aud": [API, 1]}, API, "audience"),
    "list-with-null": ({"aud": [API, None]}, API, "audience"),
    "nested-list": ({"aud": [[API]]}, API, "audience"),
    "opt-out": ({"aud": "anybody"}, None, "accept"),
    "opt-out-list": ({"aud": ["a", "b"]}, None, "accept"),
    "opt-out-missing": ({}, None, "accept"),
    "opt-out-empty-list": ({"aud": []}, None, "accept"),
    "opt-out-null": ({"aud": None}, None, "accept"),
    "opt-out-empty": ({"aud": ""}, None, "accept"),
    "opt-out-false": ({"aud": False}, None, "audience"),
    "opt-out-object": ({"aud": {}}, None, "audience"),
    "opt-out-list-of-null": ({"aud": [None]}, None, "audience"),
    "opt-out-number": ({"aud": 1}, None, "audience"),
    "opt-out-list-with-number": ({"aud": [API, 1]}, None, "audience"),
}


@pytest.mark.parametrize(("claims", "audience", "answer"), AUDIENCES.values(), ids=AUDIENCES)
def test_audience_is_one_exact_text_among_texts(
    claims: dict[str, Any], audience: Any, answer: str
) -> None:
    assert verdict(make_verifier(audience=audience), mint(**claims)) == answer


@pytest.mark.parametrize("name", ["sub", "client_id", "jti"])
@pytest.mark.parametrize("value", [123, 0, True, False, [], ["a"], {}, {"a": 1}, 1.5])
def test_identifier_that_is_no_text_is_refused(name: str, value: Any) -> None:
    assert verdict(make_verifier(), mint(**{name: value})) == "claims"


@pytest.mark.parametrize("name", ["sub", "jti", "exp", "nbf", "iat"])
def test_registered_claim_that_is_null_is_refused(name: str) -> None:
    assert verdict(make_verifier(), mint(**{name: None})) == "claims"


@pytest.mark.parametrize("name", ["azp", "client_id", "cid", "appid"])
def test_client_that_is_null_is_absent(name: str) -> None:
    claims = verified(make_verifier(), mint(**{name: None}))

    assert claims.client_id is None
    assert verdict(make_verifier(authorized_parties=["a"]), mint(**{name: None})) == (
        "authorized_party"
    )


@pytest.mark.parametrize("name", ["sub", "client_id", "jti"])
def test_identifier_may_be_absent_or_any_text(name: str) -> None:
    verifier = make_verifier()

    assert getattr(verified(verifier, mint(without=(name,))), name) is None
    assert getattr(verified(verifier, mint({name: "ünï \u0000"})), name) == "ünï \u0000"


@pytest.mark.parametrize("cnf", [{"jkt": "x"}, {"x5t#S256": "x"}, {}, None, "x", False])
def test_token_bound_to_a_key_is_no_bearer_token(cnf: Any) -> None:
    assert verdict(make_verifier(), mint(cnf=cnf)) == "confirmation"


PAYLOADS: dict[str, bytes | str] = {
    "empty": "",
    "list": '["exp"]',
    "text": '"exp"',
    "null": "null",
    "number": "1",
    "two-objects": '{"exp":1800000600}{}',
    "trailing-text": '{"exp":1800000600}x',
    "trailing-comma": '{"exp":1800000600,}',
    "single-quotes": "{'exp':1800000600}",
    "control-in-text": '{"exp":1800000600,"sub":"a\nb"}',
    "not-utf8": b'{"exp":1800000600,"sub":"\xff"}',
    "overlong-utf8": b'{"exp":1800000600,"sub":"\xc0\xaf"}',
    "encoded-surrogate": b'{"exp":1800000600,"sub":"\xed\xa0\x80"}',
    "utf16": '{"exp":1800000600}'.encode("utf-16-le"),
    "utf16-bom": '{"exp":1800000600}'.encode("utf-16"),
    "utf8-bom": b'\xef\xbb\xbf{"exp":1800000600}',
    "duplicate": '{"exp":1800000600,"scope":"a","scope":"admin"}',
    "duplicate-exp": '{"exp":1,"exp":1800000600}',
    "duplicate-by-escape": '{"exp":1800000600,"s\\u0063ope":"a","scope":"admin"}',
    "duplicate-below": '{"exp":1800000600,"a":{"b":1,"b":2}}',
    "surrogate": '{"exp":1800000600,"sub":"\\ud800"}',
    "surrogate-upper": '{"exp":1800000600,"sub":"\\uDFFF"}',
    "surrogate-name": '{"exp":1800000600,"\\udc00":1}',
    "surrogate-below": '{"exp":1800000600,"a":[{"b":["\\udc00\\ud800"]}]}',
    "deep-list": '{"exp":1800000600,"a":' + "[" * 5000 + "]" * 5000 + "}",
    "deep-object": '{"exp":1800000600,"a":' + '{"a":' * 1500 + "1" + "}" * 1500 + "}",
    "deep-with-surrogate": '{"exp":1800000600,"s":"\\ud800","a":' + "[" * 900 + "]" * 900 + "}",
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_payload_that_is_no_strict_json_object_is_refused(payload: bytes | str) -> None:
    token = mint(payload)

    assert verdict(make_verifier(), token) == "payload"


def test_surrogate_pair_is_a_character() -> None:
    token = mint('{"exp":1800000600,"sub":"\\ud83d\\ude00"}')

    assert verified(make_verifier(), token).sub == "\U0001f600"


def test_nothing_is_read_before_the_signature() -> None:
    forged = mint("not json", key="another-" + "secret" * 10)

    assert verdict(make_verifier(), forged) == "signature"


SCOPES: dict[str, tuple[Any, Any]] = {
    "text": ("a:read b", {"a:read", "b"}),
    "spaces": ("  a   b ", {"a", "b"}),
    "empty": ("", set()),
    "list": (["a", "b", "a"], {"a", "b"}),
    "empty-list": ([], set()),
    "null": (None, set()),
    "literal-star": ("* a:*", {"*", "a:*"}),
    "no-break-space": ("a\u00a0admin", "scopes"),
    "tab": ("a\tadmin", "scopes"),
    "line-break": ("a\nadmin", "scopes"),
    "quote": ('a"b', "scopes"),
    "backslash": ("a\\b", "scopes"),
    "cyrillic": ("\u0430dmin", "scopes"),
    "fullwidth": ("\uff41", "scopes"),
    "space-in-element": (["a admin"], set()),
    "number-in-list": (["a", 1], {"a"}),
    "nested-list": ([["a"]], set()),
    "empty-element": ([""], set()),
    "number": (1, "scopes"),
    "true": (True, "scopes"),
    "object": ({"a": True, "b": False}, {"a"}),
    "too-many": ([str(each) for each in range(513)], "scopes"),
}


@pytest.mark.parametrize(("value", "answer"), SCOPES.values(), ids=SCOPES)
def test_scopes_claim_is_text_or_list_of_scope_tokens(value: Any, answer: Any) -> None:
    token = mint(scope=value)

    if isinstance(answer, str):
        assert verdict(make_verifier(), token) == answer
    else:
        assert verified(make_verifier(), token).scopes == answer


PATHS: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "scp": ("scp", {"scp": ["a"], "scope": "admin"}, {"a"}),
    "scopes": ("scopes", {"scopes": "a b", "scope": "admin"}, {"a", "b"}),
    "absent": ("scp", {"scope": "admin"}, set()),
    "nested": ("realm.roles", {"realm": {"roles": ["a"]}}, {"a"}),
    "deeper": ("x.y.z", {"x": {"y": {"z": "a"}}}, {"a"}),
    "url": ("https://e.com/scopes", {"https://e.com/scopes": ["a"]}, {"a"}),
    "exact-name-wins": ("a.b", {"a.b": "exact", "a": {"b": "nested"}}, {"exact"}),
    "exact-name-wins-below": ("a.b.c", {"a": {"b.c": "exact", "b": {"c": "x"}}}, {"exact"}),
    "null-of-exact-name-wins": ("a.b", {"a.b": None, "a": {"b": "nested"}}, set()),
    "outer-is-text": ("a.b", {"a": "b"}, set()),
    "outer-is-list": ("a.b", {"a": [{"b": "x"}]}, set()),
    "outer-absent": ("a.b", {}, set()),
    "inner-absent": ("a.b", {"a": {}}, set()),
    "dot-at-the-end": ("a.", {"a": {"": "x"}}, {"x"}),
}


@pytest.mark.parametrize(("name", "claims", "scopes"), PATHS.values(), ids=PATHS)
def test_only_the_configured_claim_holds_scopes(
    name: str, claims: dict[str, Any], scopes: set[str]
) -> None:
    token = mint(without=("scope",) if "scope" not in claims else (), **claims)

    assert verified(make_verifier(scopes_claim=name), token).scopes == scopes


def test_header_with_json_whitespace_is_read() -> None:
    token = mint_raw(b64(' {"alg" :\r\n\t"HS256"} '), b64('{"exp":1800000600}'))

    assert verdict(make_verifier(), token) == "accept"
