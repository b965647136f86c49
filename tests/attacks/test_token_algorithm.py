"""RFC 8725 2.1: the attacker writes the header, so the header decides nothing."""

import base64
from functools import partial

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from fastapi_scopes.verifiers._encodings import decode_base64url
from fastapi_scopes.verifiers._jose import ALGORITHMS, _ECKey, bind_key, is_signed_with
from tests.verifiers.minting import (
    SECRET,
    b64,
    config_for,
    ec_key,
    ed25519_key,
    jwk,
    key_for,
    mint,
    pem,
    public_of,
    rsa_key,
)
from tests.verifiers.verifying import configured, make_verifier, verdict

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def resigned(token: str, signature: bytes) -> str:
    return f"{token.rsplit('.', 1)[0]}.{b64(signature)}"


def raw_signature(token: str) -> tuple[int, int]:
    data = base64.urlsafe_b64decode(token.rsplit(".", 1)[1] + "==")
    return int.from_bytes(data[:32]), int.from_bytes(data[32:])


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", ["", "e30", "c2ln"])
def test_unsigned_token_is_refused(name: str, signature: str) -> None:
    unsigned = mint(header={"alg": name}).rsplit(".", 1)[0]

    answer = verdict(make_verifier(), f"{unsigned}.{signature}")

    assert answer == ("algorithm" if signature else "malformed")


@pytest.mark.parametrize("signed", ALGORITHMS)
@pytest.mark.parametrize("claimed", ALGORITHMS)
def test_header_may_not_name_another_algorithm_than_the_keys(signed: str, claimed: str) -> None:
    # Straight at the engine: python-jose does not compare the two, the list that it gets does.
    key = SECRET.encode() if signed.startswith("HS") else public_of(key_for(signed))
    token = mint(algorithm=signed, key=key_for(signed), header={"alg": claimed})
    signing_input, _, signature = token.rpartition(".")
    signed_by = partial(is_signed_with, bind_key(ALGORITHMS[signed], key))

    is_signed = signed_by(signing_input.encode(), decode_base64url(signature), algorithm=claimed)
    assert is_signed is (signed == claimed)


def test_signature_of_another_padding_is_refused() -> None:
    verifier = make_verifier(pem(rsa_key()), algorithms=["RS256", "PS256"])

    for signed, claimed in (("RS256", "PS256"), ("PS256", "RS256")):
        token = mint(algorithm=signed, header={"alg": claimed})
        assert verdict(verifier, token) == "signature"


def test_pss_salt_of_another_length_is_refused() -> None:
    token = mint(algorithm="PS256")
    message = token.rsplit(".", 1)[0].encode()
    short_salt = padding.PSS(padding.MGF1(hashes.SHA256()), 20)
    signature = rsa_key().sign(message, short_salt, hashes.SHA256())

    verifier = make_verifier(algorithms=["PS256"])
    assert verdict(verifier, resigned(token, signature)) == "signature"


def test_key_on_another_curve_verifies_nothing() -> None:
    keys = (pem(ec_key("ES256")), pem(ec_key("ES384")))
    verifier = make_verifier(*keys, algorithms=["ES256", "ES384"])
    token = mint(algorithm="ES256", key=ec_key("ES384"))

    assert verdict(verifier, token) == "signature"


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "PS256", "ES256", "ES512", "EdDSA"])
@pytest.mark.parametrize("size", [1, 16, 31, 32, 63, 64, 65, 72, 132, 256, 257, 1024])
def test_signature_of_zeros_is_refused(algorithm: str, size: int) -> None:
    verifier = make_verifier(config_for(algorithm), algorithms=[algorithm])

    assert verdict(verifier, resigned(mint(algorithm=algorithm), bytes(size))) == "signature"


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("cut", [slice(0, 16), slice(0, -1), slice(1, None)])
def test_part_of_a_signature_is_refused(algorithm: str, cut: slice) -> None:
    verifier = make_verifier(config_for(algorithm), algorithms=[algorithm])
    token = mint(algorithm=algorithm)
    signature = base64.urlsafe_b64decode(token.rsplit(".", 1)[1] + "==")

    assert verdict(verifier, resigned(token, signature[cut])) == "signature"
    assert verdict(verifier, resigned(token, signature + b"\0")) == "signature"


EC_PAIRS = {
    "both-zero": (0, 0),
    "r-zero": (0, 1),
    "s-zero": (1, 0),
    "both-order": (P256_ORDER, P256_ORDER),
    "r-order": (P256_ORDER, 1),
    "s-order": (1, P256_ORDER),
    "r-over-order": (P256_ORDER + 1, 1),
    "all-ones": (2**256 - 1, 2**256 - 1),
    "one": (1, 1),
}


@pytest.mark.parametrize(("r", "s"), EC_PAIRS.values(), ids=EC_PAIRS)
def test_psychic_signature_is_refused(r: int, s: int) -> None:
    # CVE-2022-21449.
    verifier = make_verifier(algorithms=["ES256"])
    signature = r.to_bytes(32) + s.to_bytes(32)

    assert verdict(verifier, resigned(mint(algorithm="ES256"), signature)) == "signature"


class LaxKey:
    key_size = 256

    def verify(self, *_: object) -> None:
        """Whatever it is, it is signed."""


@pytest.mark.parametrize(("r", "s"), EC_PAIRS.values(), ids=EC_PAIRS)
def test_range_of_a_signature_is_not_left_to_the_library(r: int, s: int) -> None:
    key = _ECKey(ALGORITHMS["ES256"], LaxKey())  # type: ignore[arg-type]

    assert key.verify(b"", r.to_bytes(32) + s.to_bytes(32)) is ((r, s) == (1, 1))


def test_signature_with_zeros_put_in_is_refused() -> None:
    token = mint(algorithm="ES256")
    r, s = raw_signature(token)
    verifier = make_verifier(algorithms=["ES256"])

    assert verdict(verifier, resigned(token, r.to_bytes(32) + s.to_bytes(35))) == "signature"
    assert verdict(verifier, resigned(token, r.to_bytes(35) + s.to_bytes(35))) == "signature"


def test_der_signature_is_refused() -> None:
    token = mint(algorithm="ES256")
    signature = encode_dss_signature(*raw_signature(token))

    assert verdict(make_verifier(algorithms=["ES256"]), resigned(token, signature)) == "signature"


def test_second_signature_of_one_token_is_the_same_token() -> None:
    # (r, n - s) is as good as (r, s): nothing may be keyed on the text of a token.
    token = mint(algorithm="ES256")
    r, s = raw_signature(token)
    twin = resigned(token, r.to_bytes(32) + (P256_ORDER - s).to_bytes(32))

    assert verdict(make_verifier(algorithms=["ES256"]), twin) == "accept"


def test_key_of_small_order_lets_nobody_sign() -> None:
    # S = 0, R = A = the identity satisfies the equation of Ed25519 for every message.
    identity = b"\1" + bytes(31)
    key = {"kty": "OKP", "crv": "Ed25519", "x": b64(identity)}

    assert "small order" in configured(key, algorithms=["EdDSA"])[0]


def test_key_that_the_token_brings_along_verifies_nothing() -> None:
    verifier = make_verifier(algorithms=["RS256", "EdDSA"])
    for algorithm, key in (
        ("RS256", rsa_key("attacker")),
        ("EdDSA", ed25519_key("attacker")),
    ):
        for brought in (
            {"jwk": jwk(key)},
            {"x5c": ["MIIB"], "x5t": "x", "x5t#S256": "x"},
            {"jku": "https://attacker.example/jwks", "kid": "attacker"},
            {"x5u": "https://attacker.example/cert"},
        ):
            token = mint(algorithm=algorithm, key=key, header=brought)
            assert verdict(verifier, token) in ("signature", "too_large")
