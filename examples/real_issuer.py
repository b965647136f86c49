"""An API whose tokens come from a real authorization server, which this example starts as well.

    pip install -e ".[issuer]" && python examples/real_issuer.py

The server is oidc-provider, on a loopback port, with its own keys. The API knows nothing but its
issuer URL: it finds the keys by discovery, fetches them with the first token, and notices when
they change. With --rotate-every the server takes new keys every so many seconds, and new tokens
are printed. Keys stay published for one more turn, so a token works for two. After that the API
refuses it once it has asked for the keys again, which a token of a newer key makes it do; the log
says why.
"""

import argparse
import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import uvicorn
from authorization_server import AuthorizationServer
from fastapi import Depends, FastAPI

from fastapi_scopes import PUBLIC, Claims, JWKSVerifier, ScopeGuard

API = "https://shop.example"

CLIENTS = {
    "reader": ["orders:read"],
    "clerk": ["orders:read", "orders:write"],
    "auditor": ["shop:admin"],
}

RULES = {
    "GET /health": PUBLIC,
    "GET /orders": "orders:read",
    "POST /orders": ["orders:read", "orders:write"],
    "GET /audit": "audit:read",
}


def create_app(issuer: str) -> FastAPI:
    """Return the API; it takes access tokens of *issuer* (RFC 9068) that are meant for it."""
    guard = ScopeGuard(
        RULES,
        verifier=JWKSVerifier(
            issuer=issuer,
            audience=API,
            strict=True,
            # The example's server has no TLS, and is reached on a loopback address.
            allow_http=True,
        ),
        admin_scope="shop:admin",
        realm="shop",
    )
    app = FastAPI(openapi_url=None)
    orders = ["a book"]

    @app.get("/health")
    async def health() -> str:
        return "ok"

    @app.get("/orders")
    async def read() -> list[str]:
        return orders

    @app.post("/orders")
    async def write(claims: Annotated[Claims, Depends(guard)]) -> str:
        orders.append(f"something for {claims.client_id}")
        return orders[-1]

    @app.get("/audit")
    async def audit() -> int:
        return len(orders)

    return guard.protect(app)


def print_tokens(server: AuthorizationServer) -> None:
    """Print a token of each client, as lines for a shell."""
    for client_id in CLIENTS:
        print(f"export {client_id.upper()}_TOKEN={server.token(client_id)}", flush=True)


def print_calls(url: str) -> None:
    """Print what one may try with the tokens, and what it is answered with."""
    print("\n# the reader reads: 200")
    print(f'curl -i -H "Authorization: Bearer $READER_TOKEN" {url}/orders')
    print("# and does not write, orders:write is missing: 403")
    print(f'curl -i -X POST -H "Authorization: Bearer $READER_TOKEN" {url}/orders')
    print("# the clerk writes: 200")
    print(f'curl -i -X POST -H "Authorization: Bearer $CLERK_TOKEN" {url}/orders')
    print("# only the admin scope opens the audit: 200")
    print(f'curl -i -H "Authorization: Bearer $AUDITOR_TOKEN" {url}/audit\n', flush=True)


@contextmanager
def rotated_every(seconds: float, server: AuthorizationServer) -> Iterator[None]:
    """Have *server* take new keys every *seconds* during the block, and print new tokens."""
    stopped = threading.Event()

    def rotate() -> None:
        while not stopped.wait(seconds):
            server.rotate(overlap=True)
            print("\n# new keys; the last tokens work until the next change, so take these:")
            print_tokens(server)

    rotating = threading.Thread(target=rotate)
    rotating.start()
    try:
        yield
    finally:
        stopped.set()
        rotating.join()


def main() -> None:
    """Serve the example."""
    parser = argparse.ArgumentParser(description="tokens of a real authorization server")
    parser.add_argument("--port", type=int, default=7778)
    parser.add_argument(
        "--rotate-every",
        type=float,
        metavar="SECONDS",
        help="take new keys; the API asks for such that it does not know once in 10 seconds",
    )
    options = parser.parse_args()
    # Why a token is refused stands in the log alone.
    logging.basicConfig(level=logging.INFO)
    # It tells of every request at this level.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with ExitStack() as running:
        server = running.enter_context(AuthorizationServer(CLIENTS, resources={API: "RS256"}))
        print_tokens(server)
        print_calls(f"http://127.0.0.1:{options.port}")
        if options.rotate_every:
            running.enter_context(rotated_every(options.rotate_every, server))
        uvicorn.run(create_app(server.issuer), host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    main()
