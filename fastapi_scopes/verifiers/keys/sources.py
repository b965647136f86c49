"""Reads the sources of ``keys=``: str, bytes, dict or Path."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from fastapi_scopes.verifiers._encodings import parse_json_object
from fastapi_scopes.verifiers._jose import Algorithm
from fastapi_scopes.verifiers.keys.addresses import require_no_address
from fastapi_scopes.verifiers.keys.jwk import JWK, jwk_material, jwk_set_material
from fastapi_scopes.verifiers.keys.material import KeyMaterial, KeyRefusedError
from fastapi_scopes.verifiers.keys.public import public_material
from fastapi_scopes.verifiers.keys.secrets import secret_material

__all__ = ["KeySource", "material_from"]

KeySource = str | bytes | Mapping[str, object] | Path
"""A secret, PEM or OpenSSH as str; a secret, DER or PEM as bytes; a JWK or JWK set as dict; a
PEM or JWK set file as Path."""

_MAX_FILE_BYTES = 256 * 1024


def material_from(source: object, algorithms: Sequence[Algorithm]) -> list[KeyMaterial]:
    """Return the vetted keys of *source*, every one of which fits one of *algorithms*.

    Where *algorithms* are symmetric, a str or bytes is a secret; else it is a public key.

    Raises:
        KeyRefusedError: there is no key in it that may be used.
    """
    match source:
        case Path():
            return _from_file(source, algorithms)
        case Mapping():
            return _from_dict(cast("JWK", source), algorithms)
        case str() | bytes():
            require_no_address(source)
            return _from_bytes(_bytes_of(source), algorithms)
        case _:
            raise KeyRefusedError(
                f"is of type {type(source).__name__!r}", "pass str, bytes, dict or Path"
            )


def _bytes_of(source: str | bytes) -> bytes:
    try:
        return source.encode("utf-8") if isinstance(source, str) else source
    except UnicodeEncodeError:
        raise KeyRefusedError("is a str that is not Unicode text", "pass bytes") from None


def _from_bytes(data: bytes, algorithms: Sequence[Algorithm]) -> list[KeyMaterial]:
    if algorithms[0].is_symmetric:
        return [secret_material(data, algorithms)]
    return [public_material(data).require_fit(algorithms)]


def _from_dict(source: JWK, algorithms: Sequence[Algorithm]) -> list[KeyMaterial]:
    if "keys" in source:
        return jwk_set_material(source, algorithms)
    return [jwk_material(source, algorithms)]


def _from_file(path: Path, algorithms: Sequence[Algorithm]) -> list[KeyMaterial]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError):
        raise KeyRefusedError("is a Path that cannot be read", "name an existing file") from None
    if len(data) > _MAX_FILE_BYTES:
        raise KeyRefusedError(f"is a file of more than {_MAX_FILE_BYTES} bytes")
    if not data.lstrip().startswith(b"{"):
        # A Path is never a secret: the line break at the end of the file would be part of it.
        return [public_material(data).require_fit(algorithms)]
    try:
        parsed = parse_json_object(data)
    except ValueError:
        raise KeyRefusedError("is a file that is no strict JSON object") from None
    return _from_dict(parsed, algorithms)
