"""Who cannot ask Redis learns nothing of it: a crowd or a busy process is no outage."""

import asyncio
import gc
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from fastapi_scopes.errors import VerifierUnavailable
from fastapi_scopes.verifiers import RedisRevocationList
from tests.issuers.redis_server import RedisServer
from tests.verifiers.publishing import PATIENCE

FAIL_OPEN = pytest.mark.parametrize("fail_open", [False, True], ids=["closed", "open"])


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def with_client(client: Callable[[], Redis], test: Callable[[Redis], Awaitable[None]]) -> None:
    async def run() -> None:
        async with client() as connected:
            await test(connected)
        # Until what was broken off is closed.
        await asyncio.sleep(0.05)

    asyncio.run(run())


async def revoke(client: Redis) -> None:
    """Revoke the token ``bad``, however slow this machine is."""
    await RedisRevocationList(client, timeout=30).revoke(None, "bad", exp=time.time() + 600)


async def answers_of(revoked: RedisRevocationList, jti: str, count: int) -> Counter[object]:
    async def ask() -> object:
        try:
            return await revoked.is_revoked(None, jti)
        except VerifierUnavailable:
            return "unavailable"

    return Counter(await asyncio.gather(*(ask() for _ in range(count))))


@FAIL_OPEN
@pytest.mark.parametrize("connections", [None, 3], ids=["pool-of-its-own", "small-pool"])
def test_crowd_opens_nothing_and_shuts_out_nobody(
    server: RedisServer, connections: int | None, *, fail_open: bool
) -> None:
    async def test(client: Redis) -> None:
        revoked = RedisRevocationList(client, timeout=30, fail_open=fail_open)
        await revoke(client)
        assert await answers_of(revoked, "bad", 400) == {True: 400}
        assert await answers_of(revoked, "good", 400) == {False: 400}

    with_client(lambda: Redis.from_url(server.url, max_connections=connections), test)


class SlowRedis(Redis):
    """A client whose questions take a while, and hold their place as long."""

    async def exists(self, *names: Any) -> Any:
        await asyncio.sleep(2)
        return await super().exists(*names)


def test_crowd_that_takes_too_long_opens_nothing(server: RedisServer) -> None:
    async def test(client: Redis) -> None:
        revoked = RedisRevocationList(client, timeout=4, fail_open=True)
        await revoke(client)
        answers = await answers_of(revoked, "bad", 20)
        # One at a time: the first have their turn before the others give up.
        assert answers["unavailable"] > 0
        assert answers[True] > 0
        assert False not in answers

    with_client(lambda: SlowRedis.from_url(server.url, max_connections=1), test)


@FAIL_OPEN
def test_connections_that_others_use_up_open_nothing(
    server: RedisServer, caplog: pytest.LogCaptureFixture, *, fail_open: bool
) -> None:
    async def test(client: Redis) -> None:
        revoked = RedisRevocationList(client, fail_open=fail_open)
        await revoke(client)
        others = [await client.connection_pool.get_connection() for _ in range(2)]
        assert await answers_of(revoked, "bad", 3) == {"unavailable": 3}
        for each in others:
            await client.connection_pool.release(each)
        assert await answers_of(revoked, "bad", 3) == {True: 3}

    with caplog.at_level(logging.ERROR, "fastapi_scopes"):
        with_client(lambda: Redis.from_url(server.url, max_connections=2), test)
    reason = "the revocation list is not asked: the client has no connection left"
    assert caplog.messages == [reason] * 3


@FAIL_OPEN
def test_loop_that_is_busy_opens_nothing(server: RedisServer, *, fail_open: bool) -> None:
    async def keep_busy() -> None:
        time.sleep(1.5)  # noqa: ASYNC251 - such as the parsing of a large body

    async def test(client: Redis) -> None:
        revoked = RedisRevocationList(client, timeout=1, fail_open=fail_open)
        await revoke(client)
        answers, _ = await asyncio.gather(answers_of(revoked, "bad", 5), keep_busy())
        assert answers == {True: 5}

    pool = {"max_connections": 20, "timeout": 20}
    with_client(
        lambda: Redis(connection_pool=BlockingConnectionPool.from_url(server.url, **pool)), test
    )


@FAIL_OPEN
def test_loop_that_is_always_busy_opens_nothing(
    server: RedisServer, caplog: pytest.LogCaptureFixture, *, fail_open: bool
) -> None:
    async def test(client: Redis) -> None:
        revoked = RedisRevocationList(client, timeout=0.05, fail_open=fail_open)
        await revoke(client)
        loop = asyncio.get_running_loop()
        is_over = False

        def keep_busy() -> None:
            time.sleep(0.2)
            if not is_over:
                loop.call_soon(keep_busy)

        loop.call_soon(keep_busy)
        answers = await answers_of(revoked, "bad", 2)
        is_over = True
        assert False not in answers

    with_client(lambda: Redis.from_url(server.url), test)


# redis-py lets go of connections whose command was broken off.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@FAIL_OPEN
def test_crowd_before_a_redis_that_hangs_is_told_in_time(*, fail_open: bool) -> None:
    with RedisServer() as server:

        async def test(client: Redis) -> None:
            revoked = RedisRevocationList(client, timeout=1, fail_open=fail_open)
            assert await answers_of(revoked, "good", 1) == {False: 1}
            server.hang()
            await answers_of(revoked, "good", 1)
            began = time.monotonic()
            expected = False if fail_open else "unavailable"
            assert await answers_of(revoked, "good", 200) == {expected: 200}
            # Once for a place, once for an answer, and time enough for a slow machine.
            assert time.monotonic() - began < 20
            server.wake()
            # Whatever a slow machine makes of a timeout of a second.
            async with asyncio.timeout(PATIENCE):
                while await answers_of(revoked, "good", 200) != {False: 200}:
                    pass

        with_client(lambda: Redis.from_url(server.url), test)
        # Here, and not in whichever test comes next.
        gc.collect()


ODD_ANSWERS: Mapping[str, bytes] = {
    "no-redis": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "map-with-a-list-for-a-key": b"%1\r\n*0\r\n:1\r\n",
    "push-of-nothing": b">0\r\n",
    "length-that-is-none": b"$x\r\n",
    "nothing": b"",
}


@FAIL_OPEN
@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("answer", ODD_ANSWERS.values(), ids=ODD_ANSWERS)
def test_odd_answer_is_no_answer(answer: bytes, protocol: int, *, fail_open: bool) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            writer.write(answer or b"")
            if not answer:
                break
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def run() -> None:
        server = await asyncio.start_server(respond, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Redis(port=port, protocol=protocol, retry=None) as client:
            revoked = RedisRevocationList(client, timeout=0.5, fail_open=fail_open)
            try:
                answered = await revoked.is_revoked(None, "bad")
            except VerifierUnavailable:
                answered = True
            assert answered is True or fail_open

    asyncio.run(run())


# What the first loop left open says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@FAIL_OPEN
def test_client_of_another_loop_opens_nothing_and_is_told_why(
    server: RedisServer, caplog: pytest.LogCaptureFixture, *, fail_open: bool
) -> None:
    client = Redis.from_url(server.url)
    revoked = RedisRevocationList(client, fail_open=fail_open)
    asyncio.run(revoked.revoke(None, "bad", exp=time.time() + 60))

    with caplog.at_level(logging.ERROR, "fastapi_scopes"), pytest.raises(VerifierUnavailable):
        asyncio.run(revoked.is_revoked(None, "bad"))
    assert "a client belongs to the event loop" in caplog.text
    # Here, and not in whichever test comes next.
    del revoked, client
    gc.collect()
