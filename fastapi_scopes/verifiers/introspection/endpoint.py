"""The introspection endpoint of an issuer, asked over HTTP."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Final
from urllib.parse import quote_plus

from fastapi_scopes.errors import VerifierUnavailable
from fastapi_scopes.verifiers._http import (
    TRANSPORT_ERRORS,
    Client,
    FetchError,
    answer_to,
    certificate_fault,
    client_for,
    load_client,
    tls_context,
    without_query,
)

__all__ = ["IntrospectionEndpoint"]

_log = logging.getLogger("fastapi_scopes")

# RFC 7662 2.3, RFC 6749 5.2.
_CLIENT_REFUSED: Final = frozenset({"answered 401", "answered 403"})


class IntrospectionEndpoint:
    """Sends introspection requests (RFC 7662), with one HTTP client for each event loop.

    *connections* is how many requests may run at once in a loop. Without *tls* the authorities of
    this process are trusted.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        client_secret: str,
        timeout: float,
        connections: int,
        tls: SSLContext | None = None,
    ) -> None:
        self._url = url
        self.name: str = without_query(url)
        # RFC 6749 2.3.1: both are form-urlencoded before they are put together.
        self._credentials = quote_plus(client_id), quote_plus(client_secret)
        self._timeout = timeout
        self._connections = connections
        self._tls = tls
        self._clients: dict[asyncio.AbstractEventLoop, Client] = {}
        self._retired: dict[Client, tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        load_client()

    async def ask(self, token: str) -> bytes:
        """Return the body of the issuer's answer about *token*.

        Raises:
            VerifierUnavailable: there is no answer, or none within the limits.
        """
        form = {"token": token, "token_type_hint": "access_token"}
        try:
            async with asyncio.timeout(self._timeout), self._borrowed_client() as client:
                return (await answer_to(client, self._url, form)).body
        except (FetchError, *TRANSPORT_ERRORS) as error:
            # Of an error that is not ours the text may hold anything.
            foreign = certificate_fault(error) or (type(error).__name__, "")
            said = error if isinstance(error, FetchError) else FetchError(*foreign)
            if said.reason in _CLIENT_REFUSED:
                said = said.or_else("check client_id and client_secret")
            _log.warning("no introspection at %s: %s", self.name, said)
        raise VerifierUnavailable

    async def aclose(self) -> None:
        """Close the connections that this event loop holds."""
        loop = asyncio.get_running_loop()
        retired = [client for client, (owner, _) in self._retired.items() if owner is loop]
        for client in retired:
            self._retired.pop(client)[1].cancel()
        current = self._clients.pop(loop, None)
        for client in (*retired, *filter(None, [current])):
            await client.aclose()

    @asynccontextmanager
    async def _borrowed_client(self) -> AsyncGenerator[Client]:
        client = await self._client()
        is_sound = False
        try:
            yield client
            is_sound = True
        except FetchError:
            is_sound = True
            raise
        finally:
            # INVARIANT: a request that was broken off may hold its connection of the pool for good,
            # so its client is replaced
            # (test_requests_that_are_broken_off_use_up_no_connections).
            if not is_sound:
                self._retire(client)

    async def _client(self) -> Client:
        loop = asyncio.get_running_loop()
        tls = self._tls or await tls_context()
        client = self._clients.get(loop)
        if client is None:
            # A connection belongs to its event loop; clients of closed loops are dropped.
            self._forget_closed_loops()
            client = client_for(
                self._url,
                tls=tls,
                timeout=self._timeout,
                connections=self._connections,
                credentials=self._credentials,
            )
            self._clients[loop] = client
        return client

    def _forget_closed_loops(self) -> None:
        for loop in [each for each in [*self._clients] if each.is_closed()]:
            self._clients.pop(loop, None)
        for client, (loop, _) in [*self._retired.items()]:
            if loop.is_closed():
                self._retired.pop(client, None)

    def _retire(self, client: Client) -> None:
        loop = asyncio.get_running_loop()
        if self._clients.get(loop) is not client:
            return
        del self._clients[loop]

        def close() -> None:
            del self._retired[client]
            closing = loop.create_task(client.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

        # By then every request that still uses this client has had an answer, or a timeout.
        self._retired[client] = loop, loop.call_later(2 * self._timeout, close)
