"""The rows as Python: their settings, verifiers and tokens. README.md says what is in a row."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi_scopes import verifiers
from fastapi_scopes.verifiers import Document
from tests.verifiers.minting import NOW, SECRET, jwk, key_for, mint, pem, rsa_key
from tests.verifiers.publishing import key_set_of

HERE = Path(__file__).parent
GROUPS = ("services", "servers", "workloads", "libraries", "opaque")
TIMES = ("iat", "exp", "nbf", "auth_time")
# What stands for the secret and the key of the reader, and what of the package needs a name.
NAMES = {"SECRET": SECRET, "PEM": pem(key_for("RS256")), "ANY_TENANT": verifiers.ANY_TENANT}

Row = dict[str, Any]


def rows_of(group: str) -> list[Row]:
    rows: list[Row] = json.loads((HERE / f"{group}.json").read_text())
    return rows


def all_rows() -> list[Row]:
    return [row for group in GROUPS for row in rows_of(group)]


def members_of(row: Row) -> list[Row]:
    """The verifiers of *row*: itself, or those of an `IssuersVerifier`."""
    return row.get("members", [row])


def kind_of(member: Row) -> str:
    return str(member.get("verifier", "JWKSVerifier"))


def values_of(settings: Any) -> Any:
    """The *settings* with each text that begins with `$` as the Python that follows."""
    if isinstance(settings, list):
        return [values_of(each) for each in settings]
    if isinstance(settings, str) and settings.startswith("$"):
        return eval(settings[1:], dict(NAMES))  # noqa: S307 - data of this folder
    return settings


def settings_of(member: Row) -> dict[str, Any]:
    return {name: values_of(value) for name, value in member["settings"].items()}


def variants() -> Iterator[tuple[Row, Row]]:
    """Each row with each token that its issuer also signs."""
    return ((row, variant) for row in all_rows() for variant in row["variants"])


def claims_of(row: Row, variant: Row) -> dict[str, Any]:
    """The claims, or the answer, of *row* as *variant* has them."""
    claims = {**(row.get("claims") or row["answer"]), **variant.get("with", {})}
    for name in variant.get("without", ()):
        del claims[name]
    return {name: _time(value) if name in TIMES else value for name, value in claims.items()}


def _time(value: Any) -> Any:
    """`"+60"` is a minute from now on."""
    is_offset = isinstance(value, str) and value[:1] in "+-"
    return NOW + int(value) if is_offset else value


def published_of(row: Row, variant: Row) -> Mapping[str, Any]:
    """The members of the published key besides the key itself."""
    default = {"kid": "k1", "use": "sig", "alg": row["signed"]}
    members: Mapping[str, Any] = variant.get("jwk", row.get("jwk", default))
    return members


def token_of(row: Row, variant: Row) -> str:
    algorithm = variant.get("signed", row["signed"])
    kid = {} if algorithm.startswith("HS") else {"kid": published_of(row, variant)["kid"]}
    return mint(
        json.dumps(claims_of(row, variant)),
        algorithm=algorithm,
        key=key_for(algorithm),
        header={**kid, **variant.get("header", row["header"])},
    )


def documents_of(row: Row, variant: Row) -> dict[str, bytes]:
    """What the issuer of *row* publishes, by the addresses that it documents."""
    others = [
        jwk(rsa_key("beside"), kid=each, use="enc", alg=each) for each in row.get("beside", ())
    ]
    key_set = key_set_of(jwk(key_for(row["signed"]), **published_of(row, variant)), *others)
    found = {}
    for settings in (settings_of(each) for each in members_of(row)):
        if "jwks_uri" in settings:
            found[settings["jwks_uri"]] = key_set
        elif "keys_at" in row:
            issuer = settings["issuer"]
            place = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
            metadata = {"issuer": issuer, "jwks_uri": row["keys_at"]}
            found[row.get("metadata_at", place)] = json.dumps(metadata).encode()
            found[row["keys_at"]] = key_set
    return found


def verifier_of(row: Row, variant: Row) -> Any:
    """The verifier with exactly the settings of *row*; only its clock and `fetch=` are ours."""
    documents = documents_of(row, variant)

    async def fetch(url: str) -> Document:
        return Document(documents[url])

    def make(member: Row) -> Any:
        seams = {"fetch": fetch} if kind_of(member) == "JWKSVerifier" else {}
        return getattr(verifiers, kind_of(member))(**settings_of(member), now=lambda: NOW, **seams)

    made = [make(member) for member in members_of(row)]
    return verifiers.IssuersVerifier(made) if "members" in row else made[0]
