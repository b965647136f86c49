"""redis-py tries a wrong password again and again: what is set up wrongly is no outage for that."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis, RedisCluster

from fastapi_scopes.errors import VerifierUnavailable
from fastapi_scopes.verifiers import RedisRevocationList
from tests.issuers.redis_server import RedisServer
from tests.verifiers.test_jwks_tls import make_certificate
from tests.verifiers.test_redis_answers import answering

OPEN, CLOSED = "open", "closed"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@contextlib.asynccontextmanager
async def far_away(port: int, seconds: float) -> AsyncIterator[int]:
    """A port behind which all that the server at *port* is sent comes *seconds* later."""
    tasks: set[asyncio.Task[None]] = set()

    async def pass_on(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float
    ) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65_536):
                await asyncio.sleep(delay)
                writer.write(part)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        for each in (
            pass_on(reader, inner_writer, seconds),
            pass_on(inner_reader, writer, 0),
        ):
            tasks.add(asyncio.create_task(each))

    proxy = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()
        for each in tasks:
            each.cancel()


async def ask(revoked: RedisRevocationList) -> str:
    try:
        assert await revoked.is_revoked(None, "j") is False
    except VerifierUnavailable:
        return CLOSED
    return OPEN


WRONG: dict[str, Any] = {"username": "nobody", "password": "wrong"}
CLIENTS: Mapping[str, Callable[[int], Any]] = {
    "client": lambda port: Redis(port=port, **WRONG),
    "pool": lambda port: Redis(connection_pool=ConnectionPool(port=port, **WRONG)),
    "blocking pool": lambda port: Redis(
        connection_pool=BlockingConnectionPool(port=port, max_connections=2, **WRONG)
    ),
    "one connection": lambda port: Redis(port=port, single_connection_client=True, **WRONG),
    "RESP 2": lambda port: Redis(port=port, protocol=2, **WRONG),
    "cluster": lambda port: RedisCluster(host="127.0.0.1", port=port, **WRONG),
}


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("delay", [0.05, 0.25])
def test_wrong_password_far_away_opens_nothing(
    server: RedisServer, delay: float, client: Callable[[int], Any]
) -> None:
    async def run() -> str:
        async with far_away(server.port, delay) as port:
            asking = client(port)
            try:
                return await ask(RedisRevocationList(asking, timeout=1, fail_open=True))
            finally:
                await asking.aclose()

    assert asyncio.run(run()) == CLOSED


def test_wrong_password_that_no_question_waits_for_is_learned_of(server: RedisServer) -> None:
    async def run() -> str:
        async with far_away(server.port, 0.3) as port, Redis(port=port, **WRONG) as client:
            revoked = RedisRevocationList(client, timeout=0.1, fail_open=True)
            answers: list[str] = []

            async def is_closed() -> bool:
                answers.append(await ask(revoked))
                return answers[-1] == CLOSED

            while not await is_closed():
                assert len(answers) < 100
            # What was learned is kept.
            return str({await ask(revoked) for _ in range(5)})

    assert asyncio.run(run()) == str({CLOSED})


def test_untrusted_certificate_far_away_opens_nothing(tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(make_certificate(tmp_path))

    async def run() -> str:
        async with (
            answering([b":0\r\n"], tls=tls) as inner,
            far_away(inner, 0.2) as port,
            Redis(port=port, ssl=True) as client,
        ):
            return await ask(RedisRevocationList(client, timeout=2, fail_open=True))

    assert asyncio.run(run()) == CLOSED


ODD: Mapping[str, list[Any]] = {
    "garbage": [b"\xff\xfe\r\n"],
    "http": [b"HTTP/1.1 400 Bad Request\r\n\r\n", None],
    "no permission": [b"-NOPERM this user has no permissions\r\n"],
}


@pytest.mark.parametrize("parts", ODD.values(), ids=ODD)
def test_odd_server_far_away_opens_nothing(parts: list[Any]) -> None:
    async def run() -> str:
        async with (
            answering(parts) as inner,
            far_away(inner, 0.2) as port,
            Redis(port=port) as client,
        ):
            return await ask(RedisRevocationList(client, timeout=3, fail_open=True))

    assert asyncio.run(run()) == CLOSED


OUTAGES: Mapping[str, Callable[[RedisServer], None]] = {
    "killed": RedisServer.kill,
    "hung": RedisServer.hang,
}


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_outage_far_away_is_one(outage: Callable[[RedisServer], None], *, is_known: bool) -> None:
    async def run(server: RedisServer) -> list[str]:
        async with far_away(server.port, 0.05) as port, Redis(port=port) as client:
            revoked = RedisRevocationList(client, timeout=1, fail_open=True)
            if is_known:
                assert await ask(revoked) == OPEN
            outage(server)
            return [await ask(revoked) for _ in range(3)]

    with RedisServer() as server:
        assert asyncio.run(run(server)) == [OPEN] * 3


def test_client_is_left_as_it_was(server: RedisServer) -> None:
    async def run() -> None:
        async with far_away(server.port, 0.1) as port, Redis(port=port, **WRONG) as client:
            pool = client.connection_pool
            before = dict(pool.connection_kwargs), pool.max_connections
            assert await ask(RedisRevocationList(client, timeout=1, fail_open=True)) == CLOSED
            assert (dict(pool.connection_kwargs), pool.max_connections) == before

    asyncio.run(run())


def test_probe_leaves_no_connection(server: RedisServer) -> None:
    async def run() -> None:
        async with Redis(port=server.port) as admin:
            names = {each["id"] for each in await admin.client_list()}
            async with far_away(server.port, 0.1) as port, Redis(port=port, **WRONG) as client:
                revoked = RedisRevocationList(client, timeout=1, fail_open=True)
                assert await ask(revoked) == CLOSED

            async def left() -> set[str]:
                return {each["id"] for each in await admin.client_list()} - names

            for _ in range(200):
                if not await left():
                    break
                await asyncio.sleep(0.05)
            assert not await left()

    asyncio.run(run())
