"""One participant in its own process: a round for each line that it is sent, a JSON line back.

Run by `rounds.py` with the participant's interpreter: MODULE FACTORY ALGORITHM DISTRIBUTION.
Everything that a client may not do is tried before anything is measured.
"""

import asyncio
import importlib
import json
import logging
import sys
from importlib.metadata import version
from typing import Any

from benchmarks.measures import Turns, Work, ask, connection, undisturbed
from benchmarks.peers.issuer import Issuer
from benchmarks.routes import PATH, make_app
from benchmarks.tokens import SCOPE, SIGNERS, claims

SIZES = (1, 100)


def without_scope(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the claims with another scope in whatever claim holds scopes."""
    other = {SCOPE: "b:write"}
    return {
        name: [other.get(each, each) for each in value]
        if isinstance(value, list)
        else other.get(value, value)
        for name, value in payload.items()
    }


async def refuses(app: Any, tokens: list[str | None]) -> bool:
    """Tell whether each of the tokens, and no token at all, gets no good answer."""
    return "200" not in [await ask(app, request(token)) for token in tokens]


def request(token: str | None) -> dict[str, Any]:
    fields = [(b"host", b"test")]
    if token is not None:
        fields.append((b"authorization", b"Bearer " + token.encode()))
    return connection(PATH, headers=fields)


def asking(app: Any, token: str) -> Work:
    asked = request(token)

    async def work() -> None:
        status = await ask(app, asked)
        assert status == "200", status

    return work


async def works_of(module_name: str, factory: str, algorithm: str) -> dict[str, Work]:
    module = importlib.import_module(f"benchmarks.peers.apps.{module_name}")
    signer, other = SIGNERS[algorithm](), SIGNERS["RS256"]()
    issuer = Issuer(signer)
    payload = {**claims(issuer.url), **getattr(module, "CLAIMS", {})}
    token = signer.mint(payload)
    bad = [None, signer.mint(without_scope(payload)), other.mint(payload)]
    bad.append(signer.mint({**payload, "exp": 1}))
    works: dict[str, Work] = {}
    for size in SIZES:
        guarded = getattr(module, factory)(size, issuer)
        works[f"bare {size}"] = asking(make_app(size), token)
        works[f"guarded {size}"] = asking(guarded, token)
        await works[f"guarded {size}"]()
        assert await refuses(guarded, bad), "it lets through what it should refuse"
    return works


async def main() -> None:
    logging.disable(logging.CRITICAL)
    module, factory, algorithm, distribution = sys.argv[1:]
    turns = Turns(await works_of(module, factory, algorithm), least=0.01)
    await turns.warm()
    print(json.dumps({"version": version(distribution)}), flush=True)
    with undisturbed():
        for _ in sys.stdin:
            print(json.dumps(await turns.round()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
