"""Public keys from PEM, DER, OpenSSH and X.509."""

import re
from collections.abc import Callable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from fastapi_scopes.errors import Assignment
from fastapi_scopes.verifiers.keys.material import KeyMaterial, KeyRefusedError, material_of

__all__ = ["public_material"]

_PEM_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")


def public_material(data: bytes) -> KeyMaterial:
    """Return the vetted public key in *data*: PEM, DER, OpenSSH or X.509.

    A private key is reduced to its public half. Of a certificate only the key is read: whoever
    configures it vouches for it, so neither its dates nor its issuer matter.

    Raises:
        KeyRefusedError: it is unreadable, encrypted, weak, or more than one.
    """
    labels = _PEM_BEGIN.findall(data)
    if len(labels) > 1:
        raise KeyRefusedError(
            "holds more than one PEM block", "keep one, or pass each as a key of its own"
        )
    readers = _readers_of_pem(labels[0]) if labels else _PLAIN_READERS
    for read in readers:
        try:
            key = read(data.strip() if labels else data)
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
            # TypeError: encrypted, and we have no password to give.
            continue
        return material_of(key)
    raise KeyRefusedError(
        "is no key that can be read: no PEM, OpenSSH, DER or X.509, and no JWK as a dict",
        Assignment("algorithms", ["HS256"], rest="if it is a secret"),
    )


Reader = Callable[[bytes], object]


def _readers_of_pem(label: bytes) -> tuple[Reader, ...]:
    if label == b"CERTIFICATE":
        return (lambda data: x509.load_pem_x509_certificate(data).public_key(),)
    if label == b"OPENSSH PRIVATE KEY":
        return (lambda data: serialization.load_ssh_private_key(data, None),)
    if label.endswith(b"PRIVATE KEY"):
        return (lambda data: serialization.load_pem_private_key(data, None),)
    return (serialization.load_pem_public_key,)


# No text is valid in two of these formats, so their order does not matter.
_PLAIN_READERS: tuple[Reader, ...] = (
    lambda data: serialization.load_ssh_public_key(data.strip()),
    serialization.load_der_public_key,
    lambda data: x509.load_der_x509_certificate(data).public_key(),
    lambda data: serialization.load_der_private_key(data, None),
)
