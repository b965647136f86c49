import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from fastapi_scopes.verifiers._jose import ALGORITHMS
from fastapi_scopes.verifiers.keys.material import KeyRefusedError, material_of
from tests.verifiers.minting import (
    SECRET,
    b64,
    config_for,
    der,
    ec_key,
    ed448_key,
    ed25519_key,
    jwk,
    key_for,
    mint,
    number,
    openssh,
    pem,
    rsa_key,
)
from tests.verifiers.verifying import VECTORS, configured, load, make_verifier, verdict

PKCS1, SPKI = PublicFormat.PKCS1, PublicFormat.SubjectPublicKeyInfo


def private(
    key: Any,
    encoding: Encoding = Encoding.PEM,
    form: PrivateFormat = PrivateFormat.PKCS8,
    password: bytes | None = None,
) -> bytes:
    sealed = BestAvailableEncryption(password) if password else NoEncryption()
    return bytes(key.private_bytes(encoding, form, sealed))


def certificate(key: Any, encoding: Encoding = Encoding.PEM) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    start = datetime.datetime(2020, 1, 1)
    unsigned = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=start,
        not_valid_after=start + datetime.timedelta(days=1),
    )
    return unsigned.sign(key, hashes.SHA256()).public_bytes(encoding)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_verifies_what_its_key_signed(algorithm: str) -> None:
    verifier = make_verifier(config_for(algorithm), algorithms=[algorithm])

    assert verdict(verifier, mint(algorithm=algorithm)) == "accept"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_refuses_a_payload_that_was_not_signed(algorithm: str) -> None:
    verifier = make_verifier(config_for(algorithm), algorithms=[algorithm])
    head, _, signature = mint(algorithm=algorithm).split(".")
    forged = mint(algorithm=algorithm, sub="mallory").split(".")[1]

    assert verdict(verifier, f"{head}.{forged}.{signature}") == "signature"


def test_ed448_verifies_under_the_name_eddsa() -> None:
    verifier = make_verifier(pem(ed448_key()), algorithms=["EdDSA"])

    assert verdict(verifier, mint(algorithm="EdDSA", key=ed448_key())) == "accept"


RSA_FORMS: dict[str, Any] = {
    "spki-pem": pem(rsa_key()),
    "spki-pem-bytes": pem(rsa_key()).encode(),
    "spki-der": der(rsa_key()),
    "pkcs1-pem": rsa_key().public_key().public_bytes(Encoding.PEM, PKCS1).decode(),
    "pkcs1-der": der(rsa_key(), PKCS1),
    "openssh": openssh(rsa_key()),
    "openssh-with-comment": openssh(rsa_key()) + " alice@host\n",
    "openssh-bytes": openssh(rsa_key()).encode(),
    "x509-pem": certificate(rsa_key()).decode(),
    "x509-der": certificate(rsa_key(), Encoding.DER),
    "private-pkcs8-pem": private(rsa_key()).decode(),
    "private-pkcs8-der": private(rsa_key(), Encoding.DER),
    "private-pkcs1-pem": private(rsa_key(), form=PrivateFormat.TraditionalOpenSSL).decode(),
    "private-openssh": private(rsa_key(), form=PrivateFormat.OpenSSH).decode(),
    "pem-with-text-before": "issuer of 2026\n" + pem(rsa_key()),
    "jwk": jwk(rsa_key()),
    "jwk-private": jwk(rsa_key(), d="AQAB"),
    "jwk-with-leading-zero": jwk(rsa_key())
    | {"n": b64(b"\0" + rsa_key().public_key().public_numbers().n.to_bytes(256))},
    "jwk-nulls": jwk(rsa_key(), use=None, key_ops=None, alg=None, kid=None, issuer=None, x5c=None),
    "jwk-use-and-ops": jwk(rsa_key(), use="sig", key_ops=["verify"], alg="RS256"),
    "jwks": {"keys": [jwk(rsa_key(), kid="a")]},
}


@pytest.mark.parametrize("form", RSA_FORMS.values(), ids=RSA_FORMS)
def test_rsa_key_is_taken_in_every_form(form: Any) -> None:
    verifier = make_verifier(form, algorithms=["RS256"])

    assert verdict(verifier, mint(algorithm="RS256")) == "accept"


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "EdDSA", "Ed448"])
@pytest.mark.parametrize("form", [pem, der, jwk, private], ids=lambda form: form.__name__)
def test_ec_and_edwards_keys_are_taken_in_every_form(algorithm: str, form: Any) -> None:
    verifier = make_verifier(form(key_for(algorithm)), algorithms=[algorithm])

    assert verdict(verifier, mint(algorithm=algorithm)) == "accept"


@pytest.mark.parametrize(
    "secret",
    [SECRET, SECRET.encode(), jwk(SECRET), {"keys": [jwk(SECRET)]}, b"\x30" + SECRET.encode()],
)
def test_secret_is_taken_in_every_form(secret: Any) -> None:
    signer = secret if isinstance(secret, bytes) else SECRET
    verifier = make_verifier(secret, algorithms=["HS256", "HS512"])

    assert verdict(verifier, mint(key=signer)) == "accept"
    assert verdict(verifier, mint(algorithm="HS512", key=signer)) == "accept"


@pytest.mark.parametrize(
    "content",
    [
        pem(rsa_key()),
        "\n" + json.dumps({"keys": [jwk(rsa_key(), kid="a")]}),
        json.dumps(jwk(rsa_key())),
    ],
    ids=["pem", "jwks", "jwk"],
)
def test_file_is_read_as_pem_or_jwks(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys"
    path.write_text(content, "utf-8")

    assert verdict(make_verifier(path, algorithms=["RS256"]), mint(algorithm="RS256")) == "accept"


@pytest.mark.parametrize(
    ("content", "algorithm", "problem"),
    [
        ('{"keys": [], "keys": []}', "RS256", "no strict JSON object"),
        ("[" * 100_000, "RS256", "no key that can be read"),
        ('{"a":' * 40_000, "RS256", "no strict JSON object"),
        (" " * 300_000, "RS256", "file of more than"),
        (SECRET, "HS256", "no key that can be read"),
        (pem(rsa_key()), "HS256", "fits none of HS256"),
    ],
    ids=["duplicate-member", "deep-list", "deep-object", "huge", "secret", "pem-for-hmac"],
)
def test_file_without_usable_key_is_refused(
    tmp_path: Path, content: str, algorithm: str, problem: str
) -> None:
    path = tmp_path / "keys"
    path.write_text(content, "utf-8")

    assert problem in configured(path, algorithms=[algorithm])[0]


@pytest.mark.parametrize("path", [Path("no/such/file"), Path(), Path("a\0b"), Path("x" * 5000)])
def test_path_that_cannot_be_read_is_refused(path: Path) -> None:
    assert configured(path, algorithms=["RS256"]) == (
        "keys[0] is a Path that cannot be read; name an existing file",
    )


@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
@pytest.mark.parametrize("url", ["https://as.example/jwks.json?a-long-one", " HTTP://as.example/x"])
def test_url_is_no_secret_that_everybody_knows(url: str, algorithm: str) -> None:
    assert configured(url, algorithms=[algorithm]) == (
        "keys[0] is a URL; use a JWKSVerifier with jwks_uri=",
    )


def test_str_that_names_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a-file-with-a-name-that-is-longer-than-any-secret-has-to-be"
    path.write_text(pem(rsa_key()), "utf-8")

    assert configured(str(path)) == (
        "keys[0] is a str that names a file; pass Path(...) from pathlib",
    )


@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
@pytest.mark.parametrize("name", ["jwt.pem", "/run/secrets/a-long-name/of-a.key", "C:\\k.JWKS"])
def test_str_that_is_like_the_name_of_a_file_is_refused(name: str, algorithm: str) -> None:
    assert configured(name, algorithms=[algorithm]) == (
        "keys[0] is a str that names a file; pass Path(...) from pathlib",
    )


@pytest.mark.parametrize(
    ("algorithms", "problem"),
    [
        ("HS256", "algorithms is no list of names, or an empty one; write algorithms=['HS256']"),
        ("HS265", "algorithms is no list of names, or an empty one; write algorithms=['RS256']"),
        (["HS265"], "algorithms[0] is no signature algorithm here; did you mean 'HS256'"),
        (["RS256", "eddsa"], "algorithms[1] is no signature algorithm here; did you mean 'EdDSA'"),
        ([SECRET], "algorithms[0] is no signature algorithm here; choose of HS256, HS384, "),
        ([None], "algorithms[0] is no signature algorithm here; choose of HS256, HS384, "),
    ],
)
def test_algorithm_that_is_none_names_the_way_out(algorithms: Any, problem: str) -> None:
    (found,) = configured(SECRET, algorithms=algorithms)
    assert found.startswith(problem)
    assert str(SECRET) not in found


def weak_rsa(bits: int) -> Any:
    return rsa.generate_private_key(65537, bits)


def rsa_jwk(**members: int) -> dict[str, Any]:
    return jwk(rsa_key()) | {name: number(value) for name, value in members.items()}


# The key that Wycheproof gives for ROCA (CVE-2017-15361).
ROCA = load("wycheproof/json_web_key_test.json")["testGroups"][5]["public"]["keys"][0]
N = rsa_key().public_key().public_numbers().n
OTHER_KIND = dsa.generate_private_key(2048).public_key()
K1 = ec.generate_private_key(ec.SECP256K1())

REFUSED: dict[str, tuple[Any, str, str]] = {
    "none": (None, "RS256", "of type 'NoneType'"),
    "int": (1, "RS256", "of type 'int'"),
    "bytearray": (bytearray(64), "HS256", "of type 'bytearray'"),
    "list": ([SECRET], "HS256", "of type 'list'"),
    "key-object": (rsa_key().public_key(), "RS256", "pass str, bytes, dict or Path"),
    "surrogate": (SECRET + "\ud800", "HS256", "not Unicode text"),
    "nul-in-text": ("\0" + SECRET, "RS256", "no key that can be read"),
    "empty-for-rsa": ("", "RS256", "no key that can be read"),
    "secret-for-rsa": (SECRET, "RS256", "no key that can be read"),
    "base64-body": (b64(der(rsa_key())), "RS256", "no key that can be read"),
    "jwk-text": (json.dumps(jwk(rsa_key())), "RS256", "no key that can be read"),
    "broken-pem": (pem(rsa_key()).replace("MII", "MIJ"), "RS256", "no key that can be read"),
    "broken-certificate": (
        certificate(rsa_key()).decode().replace("MII", "MIJ"),
        "RS256",
        "no key that can be read",
    ),
    "two-pems": (pem(rsa_key()) + pem(rsa_key("b")), "RS256", "more than one PEM block"),
    "encrypted": (private(rsa_key(), password=b"x").decode(), "RS256", "no key that can be read"),
    "dsa": (OTHER_KIND.public_bytes(Encoding.PEM, SPKI), "RS256", "signs no token"),
    "x25519": (pem(x25519.X25519PrivateKey.generate()), "EdDSA", "signs no token"),
    "secp256k1": (pem(K1), "ES256", "EC key on secp256k1; use P-256"),
    "p384-for-es256": (pem(ec_key("ES384")), "ES256", "EC key on P-384, which fits none of ES256"),
    "p256-for-es384": (jwk(ec_key("ES256")), "ES384", "EC key on P-256, which fits none of ES384"),
    "ec-for-rsa": (pem(ec_key()), "RS256", "which fits none of RS256"),
    "rsa-for-ec": (pem(rsa_key()), "ES256", "an RSA key, which fits none of ES256"),
    "ed448-for-ed25519": (pem(ed448_key()), "Ed25519", "which fits none of Ed25519"),
    "ed25519-for-ed448": (jwk(ed25519_key()), "Ed448", "which fits none of Ed448"),
    "rsa-1024": (pem(weak_rsa(1024)), "RS256", "RSA key of 1024 bits; use 2048 to 8192"),
    "rsa-2047": (rsa_jwk(n=N >> 1 | 1), "RS256", "RSA key of 2047 bits"),
    "rsa-8193": (rsa_jwk(n=2**8192 + 1), "RS256", "RSA key of 8193 bits"),
    "rsa-512-jwk": (rsa_jwk(n=2**511 + 1), "RS256", "RSA key of 512 bits"),
    "rsa-e-1": (rsa_jwk(e=1), "RS256", "members make no key"),
    "rsa-e-3": (rsa_jwk(e=3), "RS256", "unsafe exponent or modulus"),
    "rsa-e-65535": (rsa_jwk(e=65535), "RS256", "unsafe exponent or modulus"),
    "rsa-e-even": (rsa_jwk(e=65538), "RS256", "members make no key"),
    "rsa-e-huge": (rsa_jwk(e=2**256 + 1), "RS256", "unsafe exponent or modulus"),
    "rsa-n-even": (rsa_jwk(n=N - 1), "RS256", "unsafe exponent or modulus"),
    "rsa-roca": (ROCA, "RS256", "ROCA"),
    "ed25519-identity": (
        {"kty": "OKP", "crv": "Ed25519", "x": b64(b"\1" + bytes(31))},
        "EdDSA",
        "small order",
    ),
    "ed25519-zero-with-sign": (
        {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(31) + b"\x80")},
        "EdDSA",
        "small order",
    ),
    "ed448-identity": (
        {"kty": "OKP", "crv": "Ed448", "x": b64(b"\1" + bytes(56))},
        "EdDSA",
        "small order",
    ),
    "no-kty": ({"n": "AQAB"}, "RS256", "without a known 'kty'"),
    "empty-dict": ({}, "RS256", "without a known 'kty'"),
    "error-document": ({"error": "x"}, "HS256", "without a known 'kty'"),
    "kty-list": (jwk(rsa_key()) | {"kty": ["RSA"]}, "RS256", "without a known 'kty'"),
    "kty-case": (jwk(rsa_key()) | {"kty": "rsa"}, "RS256", "without a known 'kty'"),
    "use-enc": (jwk(rsa_key(), use="enc"), "RS256", "'use' is not 'sig'"),
    "ops-encrypt": (jwk(rsa_key(), key_ops=["encrypt"]), "RS256", "lack 'verify'"),
    "ops-sign": (jwk(rsa_key(), key_ops=["sign"]), "RS256", "lack 'verify'"),
    "ops-empty": (jwk(rsa_key(), key_ops=[]), "RS256", "lack 'verify'"),
    "ops-text": (jwk(rsa_key(), key_ops="verify"), "RS256", "lack 'verify'"),
    "alg-other": (jwk(rsa_key(), alg="RS512"), "RS256", "with an 'alg', which fits none of RS256"),
    "alg-unknown": (jwk(ec_key(), alg="ES521"), "ES256", "with an 'alg', which fits none of ES256"),
    "alg-of-another-kty": (jwk(ec_key(), alg="RS256"), "RS256", "which fits none of RS256"),
    "alg-number": (jwk(rsa_key(), alg=1), "RS256", "'alg' is not a string"),
    "kid-number": (jwk(rsa_key(), kid=1), "RS256", "'kid' is not a string"),
    "kid-list": (jwk(rsa_key(), kid=["a"]), "RS256", "'kid' is not a string"),
    "kty-null": (jwk(rsa_key()) | {"kty": None}, "RS256", "without a known 'kty'"),
    "n-null": (jwk(rsa_key()) | {"n": None}, "RS256", "'n' is not canonical base64url"),
    "issuer-list": (jwk(rsa_key(), issuer=["https://as"]), "RS256", "'issuer' is not a string"),
    "issuer-number": (jwk(rsa_key(), issuer=1), "RS256", "'issuer' is not a string"),
    "kid-long": (jwk(rsa_key(), kid="k" * 257), "RS256", "more than 256 characters"),
    "n-missing": ({"kty": "RSA", "e": "AQAB"}, "RS256", "'n' is not canonical base64url"),
    "e-number": (jwk(rsa_key()) | {"e": 65537}, "RS256", "'e' is not canonical base64url"),
    "e-padded": (jwk(rsa_key()) | {"e": "AQAB=="}, "RS256", "'e' is not canonical base64url"),
    "n-standard-alphabet": (
        jwk(rsa_key()) | {"n": "+/" + jwk(rsa_key())["n"]},
        "RS256",
        "'n' is not canonical base64url",
    ),
    "x-trailing-bits": (
        jwk(ed25519_key()) | {"x": "A" * 42 + "B"},
        "EdDSA",
        "'x' is not canonical base64url",
    ),
    "x-line-break": (jwk(ed25519_key()) | {"x": "A" * 43 + "\n"}, "EdDSA", "'x' is not canonical"),
    "x-short": (jwk(ed25519_key()) | {"x": b64(b"1" * 31)}, "EdDSA", "members make no key"),
    "okp-x25519": (jwk(ed25519_key()) | {"crv": "X25519"}, "EdDSA", "another curve than Ed25519"),
    "ec-secp256k1": (jwk(ec_key()) | {"crv": "secp256k1"}, "ES256", "another curve than P-256"),
    "ec-crv-list": (jwk(ec_key()) | {"crv": ["P-256"]}, "ES256", "another curve than P-256"),
    "ec-off-curve": (
        jwk(ec_key()) | {"x": jwk(ec_key("ES256", "b"))["x"]},
        "ES256",
        "members make no key",
    ),
    "ec-short-coordinate": (
        jwk(ec_key()) | {"y": b64(b"1" * 31)},
        "ES256",
        "coordinate of the wrong length",
    ),
    "oct-for-rsa": (jwk(SECRET), "RS256", "a secret, which fits none"),
    "oct-without-k": ({"kty": "oct"}, "HS256", "'k' is not canonical base64url"),
    "oct-for-aes": (jwk(SECRET, alg="A256GCM"), "HS256", "a secret, which fits none"),
    "oct-short": (jwk("s" * 31), "HS256", "shorter than the 32 bytes"),
    "oct-empty": (jwk(""), "HS256", "shorter than the 32 bytes"),
    "rsa-jwk-for-hmac": (jwk(rsa_key()), "HS256", "which fits none of HS256"),
    "secret-31": ("s" * 31, "HS256", "shorter than the 32 bytes that HS256 wants"),
    "secret-47": ("s" * 47, "HS384", "shorter than the 48 bytes that HS384 wants"),
    "secret-63": (b"s" * 63, "HS512", "shorter than the 64 bytes that HS512 wants"),
    "jwks-null": ({"keys": None}, "RS256", "'keys' is not a list"),
    "jwks-dict": ({"keys": {}}, "RS256", "'keys' is not a list"),
    "jwks-empty": ({"keys": []}, "RS256", "without a usable key for RS256"),
    "jwks-junk": ({"keys": [None, 1, "x", [], {}]}, "RS256", "without a usable key for RS256"),
    "jwks-enc": ({"keys": [jwk(rsa_key(), use="enc")]}, "RS256", "without a usable key for RS256"),
    "jwks-mixed": (
        {"keys": [jwk(SECRET, kid="s"), jwk(rsa_key(), kid="r")]},
        "RS256",
        "mixes secrets with public keys",
    ),
    "jwks-mixed-for-hmac": (
        {"keys": [jwk(SECRET, kid="s"), jwk(ec_key(), kid="e", use="enc")]},
        "HS256",
        "mixes secrets with public keys",
    ),
}


@pytest.mark.parametrize(("key", "algorithm", "problem"), REFUSED.values(), ids=REFUSED)
def test_unfit_key_is_refused_by_its_position(key: Any, algorithm: str, problem: str) -> None:
    problems = configured(config_for(algorithm), key, algorithms=[algorithm])

    assert len(problems) == 1
    assert problems[0].startswith("keys[1] ")
    assert problem in problems[0]


def test_every_unfit_key_is_named_at_once() -> None:
    problems = configured("short", None, SECRET, b"", algorithms=["HS256"])

    assert [each.split()[0] for each in problems] == ["keys[0]", "keys[1]", "keys[3]"]


def test_secret_must_be_long_enough_for_every_configured_algorithm() -> None:
    assert configured(SECRET[:48], algorithms=["HS256", "HS384"]) == ()
    assert "64 bytes that HS512" in configured(SECRET[:48], algorithms=["HS256", "HS512"])[0]


def test_secret_that_names_its_algorithm_need_not_be_long_enough_for_others() -> None:
    short = SECRET[:32]
    verifier = make_verifier(jwk(short, alg="HS256"), algorithms=["HS256", "HS512"])

    assert verdict(verifier, mint(key=short)) == "accept"
    assert verdict(verifier, mint(algorithm="HS512", key=short)) == "unknown_key"


@pytest.mark.parametrize(
    "keys", [SECRET, SECRET.encode(), jwk(SECRET), Path("x"), None, {SECRET}, [], (), iter(())]
)
def test_keys_must_be_a_list_with_something_in_it(keys: Any) -> None:
    assert configured(algorithms=["HS256"], keys=keys) == (
        "keys is no list, or an empty one; "
        "write keys=[SECRET], or keys=[Path(...)] for a file, oldest to newest",
    )


@pytest.mark.parametrize(
    ("algorithms", "problem"),
    [
        ("HS256", "no list of names"),
        (b"HS256", "no list of names"),
        ((), "no list of names, or an empty one"),
        ({"HS256"}, "no list of names"),
        (["none"], "algorithms[0] is no signature algorithm"),
        (["HS256", "None"], "algorithms[1] is no signature algorithm"),
        (["HS256", 256], "algorithms[1] is no signature algorithm"),
        (["HS256", ["HS256"]], "algorithms[1] is no signature algorithm"),
        (["hs256"], "algorithms[0] is no signature algorithm"),
        (["HS256 "], "algorithms[0] is no signature algorithm"),
        (["ES256K"], "algorithms[0] is no signature algorithm"),
        (["dir"], "algorithms[0] is no signature algorithm"),
        (["RS256", "HS256"], "mixes HS* with others"),
        (["HS512", "EdDSA"], "mixes HS* with others"),
    ],
)
def test_algorithms_are_a_list_of_names_of_one_family(algorithms: Any, problem: str) -> None:
    problems = configured(SECRET, algorithms=algorithms)

    assert len(problems) == 1
    assert problem in problems[0]


def test_algorithms_may_repeat_and_be_a_tuple() -> None:
    assert verdict(make_verifier(algorithms=("HS256", "HS256")), mint()) == "accept"


PYJWT_KEYS = {
    "jwk_ec_pub_P-256.json": ("ES256", None),
    "jwk_ec_pub_P-384.json": ("ES384", None),
    "jwk_ec_pub_P-521.json": ("ES512", None),
    "jwk_ec_pub_secp256k1.json": ("ES256", "another curve than P-256"),
    "jwk_keyset_only_unknown_alg.json": ("RS256", "without a usable key for RS256"),
    "jwk_keyset_with_unknown_alg.json": ("RS256", None),
    "jwk_okp_pub_Ed25519.json": ("EdDSA", None),
    "jwk_okp_pub_Ed448.json": ("EdDSA", None),
    "jwk_rsa_pub.json": ("RS256", None),
    "testkey_ec.pub": ("ES256", None),
    "testkey_ec_ssh.pub": ("ES256", None),
    "testkey_ed25519.pub": ("EdDSA", None),
    "testkey_ed25519.pub.pem": ("EdDSA", None),
    "testkey_pkcs1.pub.pem": ("RS256", "RSA key of 1024 bits"),
    "testkey_rsa.cer": ("RS256", None),
    "testkey_rsa.pub": ("RS256", None),
}


@pytest.mark.parametrize(("name", "algorithm", "problem"), [(k, *v) for k, v in PYJWT_KEYS.items()])
def test_pyjwt_key_is_taken_or_refused_for_its_reason(
    name: str, algorithm: str, problem: str | None
) -> None:
    path = VECTORS / "pyjwt-keys" / name
    sources: list[Any] = [path, path.read_bytes()]
    if name.endswith(".json"):
        sources = [path, json.loads(path.read_text("utf-8"))]

    for source in sources:
        problems = configured(source, algorithms=[algorithm])
        assert problems == () if problem is None else problem in problems[0]


def test_every_pyjwt_key_has_its_row() -> None:
    files = {each.name for each in (VECTORS / "pyjwt-keys").iterdir()}

    assert files == {*PYJWT_KEYS, "LICENSE"}


def nested(depth: int = 5000) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("member", ["kty", "kid", "alg", "use", "key_ops", "crv", "x"])
def test_deep_member_of_a_jwk_is_a_configuration_error(member: str) -> None:
    key = jwk(ec_key(), kid="a") | {member: nested()}

    assert len(configured(key, algorithms=["ES256"])) == 1
    assert len(configured({"keys": [key]}, algorithms=["ES256"])) == 1
    assert len(configured(pem(ec_key()), algorithms=["ES256", nested()])) == 1


def test_key_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyRefusedError, match="signs no token"):
        material_of(object())
