"""An issuer on this machine, from which peers read keys the way their documentation says."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from benchmarks.tokens import Signer

JWKS_PATH, METADATA_PATH = "/jwks.json", "/.well-known/openid-configuration"


@dataclass
class Issuer:
    """Serves its metadata and one key over HTTP, in a thread that sleeps between requests."""

    signer: Signer
    host: str = field(init=False)

    def __post_init__(self) -> None:
        documents = self.documents

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(documents(self.path)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                with suppress(BrokenPipeError):
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{self.host}/"

    @property
    def jwks_url(self) -> str:
        return f"http://{self.host}{JWKS_PATH}"

    @property
    def metadata_url(self) -> str:
        return f"http://{self.host}{METADATA_PATH}"

    def documents(self, path: str) -> dict[str, Any]:
        """Return the document at *path*."""
        if path == JWKS_PATH:
            return {"keys": [self.signer.jwk]}
        return {
            "issuer": self.url,
            "jwks_uri": self.jwks_url,
            "authorization_endpoint": f"{self.url}authorize",
            "token_endpoint": f"{self.url}token",
        }
