"""Gives deep JSON to every reader, in a thread with a stack of 128 KiB, and prints the answers.

A process of its own runs this: a reader that goes too deep ends it.
"""

import asyncio
import json
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi_scopes.errors import ScopesError
from fastapi_scopes.verifiers import (
    Document,
    IntrospectionVerifier,
    IssuersVerifier,
    JWKSVerifier,
    JWTVerifier,
)
from fastapi_scopes.verifiers._http import MAX_BODY_BYTES
from fastapi_scopes.verifiers.tokens import verify_compact_jws
from tests.verifiers.minting import NOW, SECRET, mint

STACK_BYTES = 128 * 1024
ISSUER = "https://as.example"

# What opens a level, what is innermost, and what closes a level.
SHAPES: Mapping[str, tuple[bytes, bytes, bytes]] = {
    "arrays": (b"[", b"", b"]"),
    "objects": (b'{"a":', b"0", b"}"),
    "both": (b'[{"a":', b"0", b"}]"),
    "open": (b"[", b"", b""),
    "open-objects": (b'{"a":', b"", b""),
    "behind-a-backslash": (b'{"\\\\":', b"0", b"}"),
    "behind-a-quote": (b'{"\\"":', b"0", b"}"),
    "behind-closed-ones": (b"[[],", b"0", b"]"),
    "behind-texts-of-brackets": (b'["]]]",', b"0", b"]"),
    "spaced": (b"[ \n", b"", b"] "),
}


def deep(shape: tuple[bytes, bytes, bytes], size: int, **members: Any) -> bytes:
    """An object of at most *size* bytes: *members*, and one that is as deep as can be."""
    head = json.dumps({**members, "x": 0}).encode()[:-2]
    opening, innermost, closing = shape
    levels = (size - len(head) - len(innermost) - 1) // (len(opening) + len(closing))
    return head + opening * levels + innermost + closing * levels + b"}"


async def code_of(asking: Awaitable[Any]) -> str:
    try:
        await asking
    except ScopesError as error:
        return str(error.code)
    return "accept"


ONE = JWTVerifier(
    keys=[SECRET], algorithms=["HS256"], issuer=ISSUER, audience=None, now=lambda: NOW
)
PAYLOAD = json.dumps({"iss": ISSUER, "exp": NOW + 60}).encode()


def header_of(shape: Any) -> str:
    return mint(PAYLOAD, header=deep(shape, 2048, alg="HS256"))


def payload_of(shape: Any) -> str:
    return mint(deep(shape, 12_000, iss=ISSUER, exp=NOW + 60))


async def compact(shape: Any) -> Any:
    return verify_compact_jws(header_of(shape), keys=[SECRET], algorithms=["HS256"])


async def published(document: bytes, *, jwks_uri: str | None) -> Any:
    async def fetch(url: str) -> Document:
        return Document(document)

    verifier = JWKSVerifier(issuer=ISSUER, jwks_uri=jwks_uri, audience=None, fetch=fetch)
    return await verifier.verify(mint(PAYLOAD, algorithm="RS256"))


async def introspected(shape: Any) -> Any:
    body = deep(shape, MAX_BODY_BYTES, active=True, exp=NOW + 60)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        verifier = IntrospectionVerifier(
            endpoint=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/",
            client_id="c",
            client_secret="s",
            issuer=None,
            audience=None,
            allow_http=True,
            now=lambda: NOW,
        )
        try:
            return await verifier.verify("a-token")
        finally:
            await verifier.aclose()


async def from_file(shape: Any) -> Any:
    with tempfile.NamedTemporaryFile() as file:
        file.write(deep(shape, 60_000, kty="RSA"))
        file.flush()
        return JWTVerifier(
            keys=[Path(file.name)], algorithms=["RS256"], issuer=ISSUER, audience=None
        )


READERS: Mapping[str, Callable[[Any], Awaitable[Any]]] = {
    "header": lambda shape: ONE.verify(header_of(shape)),
    "payload": lambda shape: ONE.verify(payload_of(shape)),
    "issuers-header": lambda shape: IssuersVerifier([ONE]).verify(header_of(shape)),
    "issuers-payload": lambda shape: IssuersVerifier([ONE]).verify(payload_of(shape)),
    "compact": compact,
    "key-set": lambda shape: published(
        deep(shape, MAX_BODY_BYTES, keys=[]), jwks_uri=f"{ISSUER}/jwks"
    ),
    "metadata": lambda shape: published(deep(shape, MAX_BODY_BYTES, issuer=ISSUER), jwks_uri=None),
    "introspection": introspected,
    "key-file": from_file,
}


def answers() -> Iterator[tuple[str, str, str]]:
    for reader, ask in READERS.items():
        for name, shape in SHAPES.items():
            yield reader, name, asyncio.run(code_of(ask(shape)))


def main() -> None:
    found: list[tuple[str, str, str]] = []
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=lambda: found.extend(answers()))
    thread.start()
    thread.join()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
