from typing import Any

import pytest

from fastapi_scopes.errors import ConfigurationError, TokenError, TokenFault
from fastapi_scopes.verifiers.tokens import verify_compact_jws
from tests.verifiers.minting import SECRET, b64
from tests.verifiers.verifying import load

COMPACT = {
    "rfc7520-4.1": "cookbook/jws/4_1.rsa_v15_signature.json",
    "rfc7520-4.2": "cookbook/jws/4_2.rsa-pss_signature.json",
    "rfc7520-4.3": "cookbook/jws/4_3.ecdsa_signature.json",
    "rfc7520-4.4": "cookbook/jws/4_4.hmac-sha2_integrity_protection.json",
    "rfc8037-A.4": "cookbook/curve25519/jws.json",
}
RFC7515_A1 = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0"
    "dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    {
        "kty": "oct",
        "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CA"
        "ow",
    },
    "HS256",
)
RFC7515_A3 = (
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNv"
    "bS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxf"
    "KTUJqPP3-Kg6NU1Q",
    {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    },
    "ES256",
)


def example(name: str) -> tuple[str, Any, str, str]:
    given = load(name)
    inputs = given["input"]
    return given["output"]["compact"], inputs["key"], inputs["alg"], inputs["payload"]


def fault_of(token: Any, key: Any, algorithm: str) -> TokenFault:
    with pytest.raises(TokenError) as caught:
        verify_compact_jws(token, keys=[key], algorithms=[algorithm])
    return TokenFault(caught.value.code)


@pytest.mark.parametrize("name", COMPACT.values(), ids=COMPACT)
def test_compact_example_verifies_to_its_payload(name: str) -> None:
    token, key, algorithm, payload = example(name)

    verified = verify_compact_jws(token, keys=[key], algorithms=[algorithm])

    assert verified.payload == payload.encode()
    assert verified.header["alg"] == algorithm


@pytest.mark.parametrize(
    ("token", "key", "algorithm"), [RFC7515_A1, RFC7515_A3], ids=["rfc7515-A.1", "rfc7515-A.3"]
)
def test_rfc7515_example_verifies(token: str, key: Any, algorithm: str) -> None:
    verified = verify_compact_jws(token, keys=[key], algorithms=[algorithm])

    assert verified.payload.startswith(b'{"iss":"joe"')


def test_detached_payload_is_no_compact_jws() -> None:
    token, key, algorithm, _ = example("cookbook/jws/4_5.signature_with_detached_content.json")

    assert fault_of(token, key, algorithm) is TokenFault.SIGNATURE


def test_protected_part_of_a_json_jws_verifies_as_compact() -> None:
    # RFC 7520 4.6: what is signed is a compact JWS; its unprotected kid plays no role.
    given = load("cookbook/jws/4_6.protecting_specific_header_fields.json")
    flat = given["output"]["json_flat"]
    token = f"{flat['protected']}.{flat['payload']}.{flat['signature']}"

    verified = verify_compact_jws(token, keys=[given["input"]["key"]], algorithms=["HS256"])

    assert verified.header == {"alg": "HS256"}


def test_jws_without_protected_header_is_refused() -> None:
    given = load("cookbook/jws/4_7.protecting_content_only.json")
    flat = given["output"]["json_flat"]
    token = f".{flat['payload']}.{flat['signature']}"

    assert fault_of(token, given["input"]["key"], "HS256") is TokenFault.HEADER


def rows_of_multiple_signatures() -> list[Any]:
    given = load("cookbook/jws/4_8.multiple_signatures.json")
    signatures = given["output"]["json"]["signatures"]
    keys, names = given["input"]["key"], given["input"]["alg"]
    return [
        (given["output"]["json"]["payload"], *row)
        for row in zip(signatures, keys, names, strict=True)
        if "protected" in row[0]
    ]


@pytest.mark.parametrize(
    ("payload", "signature", "key", "algorithm"), rows_of_multiple_signatures()
)
def test_each_protected_signature_of_a_json_jws_verifies_alone(
    payload: str, signature: Any, key: Any, algorithm: str
) -> None:
    given = load("cookbook/jws/4_8.multiple_signatures.json")
    token = f"{signature['protected']}.{payload}.{signature['signature']}"

    verified = verify_compact_jws(token, keys=[key], algorithms=[algorithm])

    assert verified.payload == given["input"]["payload"].encode()


def json_forms() -> list[Any]:
    return [
        pytest.param(form, id=f"{path.rsplit('/', 1)[-1]}-{kind}")
        for path in (*COMPACT.values(), "cookbook/jws/4_6.protecting_specific_header_fields.json")
        for kind, form in load(path)["output"].items()
        if kind != "compact"
    ]


@pytest.mark.parametrize("form", json_forms())
def test_json_serialization_is_refused(form: Any) -> None:
    key = {"kty": "oct", "k": b64(SECRET)}

    assert fault_of(form, key, "HS256") is TokenFault.MALFORMED
    assert fault_of(str(form), key, "HS256") is TokenFault.MALFORMED


def unencoded_payloads() -> list[Any]:
    cookbook = load("cookbook/rfc7797/hmac-sha2_b64_false.json")
    rows = [pytest.param(cookbook["output"]["compact"], id="cookbook")]
    for test in load("joserfc-fixtures/jws_rfc7797.json")["tests"]:
        if "b64" in test["protected"]:
            rows.append(pytest.param(test["compact"], id=test["name"]))
    only_json = load("cookbook/rfc7797/4.2.hmac-sha2_b64_false.json")["output"]["json_flat"]
    parts = (only_json["protected"], only_json["payload"], only_json["signature"])
    return [*rows, pytest.param(".".join(parts), id="rfc7797-4.2")]


@pytest.mark.parametrize("token", unencoded_payloads())
def test_unencoded_payload_is_refused(token: str) -> None:
    key = load("cookbook/rfc7797/hmac-sha2_b64_false.json")["input"]["key"]

    assert fault_of(token, key, "HS256") in (TokenFault.HEADER, TokenFault.MALFORMED)


def test_encoded_payload_of_rfc7797_verifies() -> None:
    key = load("cookbook/rfc7797/hmac-sha2_b64_false.json")["input"]["key"]
    encoded = load("joserfc-fixtures/jws_rfc7797.json")["tests"][0]

    assert verify_compact_jws(encoded["compact"], keys=[key], algorithms=["HS256"]).payload == (
        b"$.02"
    )


@pytest.mark.parametrize(
    "test",
    load("joserfc-fixtures/jws_rfc7520.json")["tests"],
    ids=lambda test: test["name"],
)
def test_joserfc_rfc7520_fixture_verifies(test: Any) -> None:
    keys = {
        "RFC7520-RSA-public.json": load("cookbook/jwk/3_3.rsa_public_key.json"),
        "RFC7520-EC-public.json": load("cookbook/jwk/3_1.ec_public_key.json"),
        "RFC7520-oct-sig.json": load("cookbook/jwk/3_5.symmetric_key_mac_computation.json"),
    }

    verified = verify_compact_jws(
        test["compact"], keys=[keys[test["public_key"]]], algorithms=[test["protected"]["alg"]]
    )

    payload = load("joserfc-fixtures/jws_rfc7520.json")["payload"]
    assert verified.payload.decode() == payload


SHORT_SECRETS = [
    pytest.param(test["secret"], test.get("compact") or test["token"], test["name"], id=path)
    for path in ("jws_examples", "jwt_use_jws")
    for test in load(f"joserfc-fixtures/{path}.json")["tests"]
    if "secret" in test
]


@pytest.mark.parametrize(("secret", "token", "algorithm"), SHORT_SECRETS)
def test_joserfc_fixture_with_a_short_secret_is_refused(
    secret: str, token: str, algorithm: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"bytes that {algorithm} wants"):
        verify_compact_jws(token, keys=[secret], algorithms=[algorithm])


@pytest.mark.parametrize(
    ("name", "algorithm", "answer"),
    [
        ("3_1.ec_public_key", "ES512", None),
        ("3_2.ec_private_key", "ES512", None),
        ("3_3.rsa_public_key", "PS256", None),
        ("3_4.rsa_private_key", "RS256", None),
        ("3_5.symmetric_key_mac_computation", "HS256", None),
        ("3_6.symmetric_key_encryption", "HS256", "'use' is not 'sig'"),
    ],
)
def test_cookbook_key_is_taken_unless_it_is_for_encryption(
    name: str, algorithm: str, answer: str | None
) -> None:
    key = load(f"cookbook/jwk/{name}.json")

    with pytest.raises(TokenError if answer is None else ConfigurationError, match=answer):
        verify_compact_jws("e30.e30.e30", keys=[key], algorithms=[algorithm])


def test_key_for_key_agreement_verifies_nothing() -> None:
    key = load("cookbook/curve25519/ecdh-es.json")["input"]["key"]

    with pytest.raises(ConfigurationError, match="'use' is not 'sig'"):
        verify_compact_jws("e30.e30.e30", keys=[key], algorithms=["EdDSA"])
    with pytest.raises(ConfigurationError, match="another curve than Ed25519 or Ed448"):
        verify_compact_jws("e30.e30.e30", keys=[key | {"use": "sig"}], algorithms=["EdDSA"])
