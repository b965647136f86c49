"""What Redis, or what stands in its place, may answer, and what of it is an outage."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from fastapi_scopes.errors import VerifierUnavailable
from fastapi_scopes.verifiers import RedisRevocationList
from tests.issuers.redis_server import RedisServer
from tests.verifiers.test_jwks_tls import make_certificate

Part: TypeAlias = bytes | float | None


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


REVOKED, NOT_REVOKED, UNAVAILABLE = "revoked", "not revoked", "unavailable"
PASSES_IF_OPEN = {False: UNAVAILABLE, True: NOT_REVOKED}
NEVER_PASSES = {False: UNAVAILABLE, True: UNAVAILABLE}
IS_REVOKED = {False: REVOKED, True: REVOKED}

# None closes the connection, a number waits for so many seconds.
ANSWERS: Mapping[str, tuple[list[Part], dict[bool, str]]] = {
    "not-revoked": ([b":0\r\n"], {False: NOT_REVOKED, True: NOT_REVOKED}),
    "revoked": ([b":1\r\n"], IS_REVOKED),
    "negative": ([b":-1\r\n"], IS_REVOKED),
    "text": ([b"+OK\r\n"], IS_REVOKED),
    "text-of-zero": ([b"$1\r\n0\r\n"], IS_REVOKED),
    "list": ([b"*0\r\n"], IS_REVOKED),
    "null": ([b"_\r\n"], IS_REVOKED),
    "false": ([b"#f\r\n"], IS_REVOKED),
    "float": ([b",0\r\n"], IS_REVOKED),
    "closed": ([None], PASSES_IF_OPEN),
    "closed-in-between": ([b":0", None], PASSES_IF_OPEN),
    "silent": ([60.0], PASSES_IF_OPEN),
    "half": ([b":", 60.0], PASSES_IF_OPEN),
    "loading": ([b"-LOADING Redis is loading the dataset in memory\r\n"], PASSES_IF_OPEN),
    "cluster-down": ([b"-CLUSTERDOWN The cluster is down\r\n"], PASSES_IF_OPEN),
    "master-down": ([b"-MASTERDOWN Link with MASTER is down\r\n"], PASSES_IF_OPEN),
    "try-again": ([b"-TRYAGAIN Multiple keys\r\n"], PASSES_IF_OPEN),
    "busy": ([b"-BUSY Redis is busy running a script.\r\n"], PASSES_IF_OPEN),
    "too-many-clients": ([b"-ERR max number of clients reached\r\n"], PASSES_IF_OPEN),
    "no-password": ([b"-NOAUTH Authentication required.\r\n"], NEVER_PASSES),
    "wrong-password": ([b"-WRONGPASS invalid username-password pair\r\n"], NEVER_PASSES),
    "no-permission": ([b"-NOPERM No permissions to run 'exists'\r\n"], NEVER_PASSES),
    "ldap": ([b"-ERR problem with LDAP service\r\n"], NEVER_PASSES),
    "read-only": ([b"-READONLY You can't write against a replica.\r\n"], NEVER_PASSES),
    "moved": ([b"-MOVED 1 192.0.2.1:1\r\n"], NEVER_PASSES),
    "ask": ([b"-ASK 1 192.0.2.1:1\r\n"], NEVER_PASSES),
    "error": ([b"-ERR unknown command\r\n"], NEVER_PASSES),
    "error-of-another-name": ([b"-BUSYKEY Target key name exists\r\n"], NEVER_PASSES),
    "wrong-type": ([b"-WRONGTYPE Operation against a key\r\n"], NEVER_PASSES),
    "out-of-memory": ([b"-OOM command not allowed\r\n"], NEVER_PASSES),
    "garbage": ([b"\xff\xfe\r\n"], NEVER_PASSES),
    "http": ([b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"], NEVER_PASSES),
    "no-number": ([b":x\r\n"], NEVER_PASSES),
    "huge-number": ([b":" + b"9" * 5000 + b"\r\n"], NEVER_PASSES),
}


@contextlib.asynccontextmanager
async def answering(
    parts: list[Part], *, at_once: bool = False, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """The port of a server that answers each EXISTS so, or with *at_once* whatever it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while asked := await command(reader):
                if asked == b"HELLO" and not at_once:
                    writer.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
                elif asked != b"EXISTS" and not at_once:
                    writer.write(b"+OK\r\n")
                elif await is_over(writer):
                    break
        writer.close()

    async def is_over(writer: asyncio.StreamWriter) -> bool:
        for part in parts:
            if isinstance(part, float):
                await asyncio.sleep(part)
            elif part is None:
                return True
            else:
                writer.write(part)
        return False

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def command(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    for _ in range(int((await reader.readline())[1:] or b"0")):
        size = int((await reader.readline())[1:])
        parts.append((await reader.readexactly(size + 2))[:-2])
    return parts[0].upper() if parts else b""


async def outcome(client: Any, *, fail_open: bool, patience: float = 0.3) -> str:
    revoked = RedisRevocationList(client, timeout=patience, fail_open=fail_open)
    try:
        return REVOKED if await revoked.is_revoked("https://as.example", "j") else NOT_REVOKED
    except VerifierUnavailable:
        return UNAVAILABLE
    finally:
        await client.aclose()


RETRIES: Mapping[str, dict[str, Any]] = {
    # The pauses between its retries are longer than the timeout.
    "retries-of-redis-py": {},
    "no-retry": {"retry": Retry(NoBackoff(), 0)},
}
FAIL_OPEN = pytest.mark.parametrize("fail_open", [False, True], ids=["closed", "open"])


@FAIL_OPEN
@pytest.mark.parametrize("retries", RETRIES.values(), ids=RETRIES)
@pytest.mark.parametrize(("parts", "wanted"), ANSWERS.values(), ids=ANSWERS)
def test_wrong_settings_open_nothing(
    parts: list[Part], wanted: dict[bool, str], retries: dict[str, Any], *, fail_open: bool
) -> None:
    async def run() -> str:
        async with answering(parts) as port:
            client = Redis(host="127.0.0.1", port=port, **retries)
            # A refusal that redis-py tries again is told by what it waits for when the time is up,
            # which is all but sure after so long.
            patience = 3 if wanted is NEVER_PASSES else 0.3
            return await outcome(client, fail_open=fail_open, patience=patience)

    assert asyncio.run(run()) == wanted[fail_open]


@pytest.mark.parametrize("retries", RETRIES.values(), ids=RETRIES)
def test_http_server_in_the_place_of_redis_opens_nothing(retries: dict[str, Any]) -> None:
    async def run() -> str:
        async with answering([b"HTTP/1.1 400 Bad Request\r\n\r\n", None], at_once=True) as port:
            client = Redis(host="127.0.0.1", port=port, **retries)
            return await outcome(client, fail_open=True)

    assert asyncio.run(run()) == UNAVAILABLE


def client_of(build: Callable[[int], Any]) -> Callable[[], Awaitable[str]]:
    async def ask() -> str:
        async with answering([None], at_once=True) as port:
            return await outcome(build(port), fail_open=True, patience=5)

    return ask


def at_nobodys(build: Callable[[int], Any]) -> Callable[[], Awaitable[str]]:
    async def ask() -> str:
        async with answering([]) as port:
            pass
        return await outcome(build(port), fail_open=True, patience=5)

    return ask


NO_RETRY: dict[str, Any] = {"retry": Retry(NoBackoff(), 0)}
CLIENTS: Mapping[str, tuple[Callable[[], Awaitable[str]], str]] = {
    "refused": (at_nobodys(lambda port: Redis(port=port, **NO_RETRY)), NOT_REVOKED),
    "no-such-host": (
        at_nobodys(lambda port: Redis(host="redis.invalid", port=port, **NO_RETRY)),
        NOT_REVOKED,
    ),
    "no-socket": (
        at_nobodys(lambda port: Redis(unix_socket_path=f"/no/such/{port}", **NO_RETRY)),
        NOT_REVOKED,
    ),
    "closed-at-once": (client_of(lambda port: Redis(port=port, **NO_RETRY)), NOT_REVOKED),
    "cluster-refused": (
        at_nobodys(lambda port: RedisCluster(host="127.0.0.1", port=port, **NO_RETRY)),
        NOT_REVOKED,
    ),
}


@pytest.mark.parametrize(("ask", "wanted"), CLIENTS.values(), ids=CLIENTS)
def test_no_connection_is_an_outage(ask: Callable[[], Any], wanted: str) -> None:
    assert asyncio.run(ask()) == wanted


def test_certificate_that_is_not_trusted_opens_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(make_certificate(tmp_path))

    async def run() -> str:
        async with answering([], tls=tls) as port:
            client = Redis(port=port, ssl=True, **NO_RETRY)
            return await outcome(client, fail_open=True, patience=5)

    assert asyncio.run(run()) == UNAVAILABLE
    assert caplog.messages == [
        "the revocation list cannot be asked: ConnectionError (SSLCertVerificationError)"
    ]


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", UNAVAILABLE), (b"", NOT_REVOKED)],
    ids=["no-tls", "hangs-up"],
)
def test_server_that_breaks_tls_off_is_away_and_one_without_it_is_wrong(
    answer: bytes, wanted: str
) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()

    async def run() -> str:
        server = await asyncio.start_server(break_off, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = Redis(port=port, ssl=True, ssl_cert_reqs="none", **NO_RETRY)
        try:
            return await outcome(client, fail_open=True, patience=5)
        finally:
            server.close()

    assert asyncio.run(run()) == wanted


def test_pool_that_others_have_emptied_opens_nothing() -> None:
    async def run() -> str:
        async with answering([b":0\r\n"]) as port:
            pool = BlockingConnectionPool(
                host="127.0.0.1", port=port, max_connections=1, timeout=0.05, **NO_RETRY
            )
            connection = await pool.get_connection()
            try:
                return await outcome(Redis(connection_pool=pool), fail_open=True, patience=5)
            finally:
                await pool.release(connection)

    assert asyncio.run(run()) == UNAVAILABLE


ACCOUNTS: Mapping[str, dict[str, Any]] = {
    "wrong-password": {"username": "reader", "password": "wrong"},
    "no-such-user": {"username": "nobody", "password": "right"},
    "no-permission": {"username": "reader", "password": "right"},
    "no-such-database": {"db": 99},
}


@FAIL_OPEN
@pytest.mark.parametrize("retries", RETRIES.values(), ids=RETRIES)
@pytest.mark.parametrize("account", ACCOUNTS.values(), ids=ACCOUNTS)
def test_account_that_may_not_ask_opens_nothing(
    server: RedisServer,
    account: dict[str, Any],
    retries: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    *,
    fail_open: bool,
) -> None:
    async def run() -> str:
        async with Redis(port=server.port) as admin:
            await admin.execute_command("ACL", "SETUSER", "reader", "on", ">right", "+ping")
        return await outcome(
            Redis(port=server.port, **account, **retries), fail_open=fail_open, patience=3
        )

    with caplog.at_level(logging.INFO, "fastapi_scopes"):
        assert asyncio.run(run()) == UNAVAILABLE
    assert [each.levelname for each in caplog.records] == ["ERROR"]
    assert caplog.messages[0].rpartition(" ")[2] in (
        *("AuthenticationError", "NoPermissionError", "ResponseError"),
    )


@FAIL_OPEN
def test_queue_behind_a_wrong_password_opens_nothing(
    server: RedisServer, *, fail_open: bool
) -> None:
    async def run() -> list[str]:
        client = Redis(port=server.port, username="nobody", password="wrong")
        revoked = RedisRevocationList(client, timeout=0.3, fail_open=fail_open)

        async def ask(jti: str) -> str:
            try:
                return str(await revoked.is_revoked(None, jti))
            except VerifierUnavailable:
                return UNAVAILABLE

        try:
            first = await ask("first")
            return [first, *await asyncio.gather(*(ask(str(number)) for number in range(200)))]
        finally:
            await client.aclose()

    assert set(asyncio.run(run())) == {UNAVAILABLE}
