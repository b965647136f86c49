"""A Redis that is down or hangs lets nobody pass, and comes back with what it knew."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping

import pytest
from fastapi.testclient import TestClient
from redis.asyncio import Redis

from fastapi_scopes import ScopeGuard
from fastapi_scopes.errors import VerifierUnavailable
from fastapi_scopes.verifiers import RedisRevocationList
from tests.doors import DOORS, Door
from tests.issuers.redis_server import RedisServer
from tests.verifiers.kinds import KINDS
from tests.verifiers.publishing import until
from tests.verifiers.stations import Station, at_stations, token

UNAVAILABLE = "verifier_unavailable"
OUTAGES: Mapping[str, Callable[[RedisServer], None]] = {
    "killed": RedisServer.kill,
    "hung": RedisServer.hang,
}


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def recover(server: RedisServer) -> None:
    """Kill what is left, and start again on the same data."""
    server.kill()
    server.start()


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_nobody_passes_in_an_outage_and_nothing_is_forgotten(
    server: RedisServer, outage: Callable[[RedisServer], None]
) -> None:
    async def test(*stations: Station) -> None:
        await stations[0].revoke("a")
        outage(server)
        for each in stations:
            assert await each.ask("a", "b") == [UNAVAILABLE] * 2
        with pytest.raises(VerifierUnavailable):
            await stations[0].revoke("b")
        await asyncio.to_thread(recover, server)
        for each in stations:
            assert await each.ask("a", "b") == ["revoked", "accept"]
        await stations[1].revoke("b")
        assert await stations[0].ask("a", "b") == ["revoked"] * 2

    at_stations(server, test, 2, timeout=1)


def test_kill_under_load_lets_no_revoked_token_pass(server: RedisServer) -> None:
    answers: list[tuple[str, str]] = []
    is_over = asyncio.Event()

    async def ask_on(station: Station, jti: str) -> None:
        while not is_over.is_set():
            answers.append((jti, (await station.ask(jti))[0]))

    async def test(*stations: Station) -> None:
        await stations[0].revoke("a")
        load = [asyncio.create_task(ask_on(each, jti)) for each in stations for jti in "aabb"]
        await until(lambda: len(answers) > 200)
        await asyncio.to_thread(server.kill)
        await until(lambda: {("a", UNAVAILABLE), ("b", UNAVAILABLE)} <= {*answers})
        await asyncio.to_thread(server.start)
        before = len(answers)
        await until(lambda: answers[before:].count(("a", "revoked")) > 20)
        is_over.set()
        await asyncio.gather(*load)
        assert await stations[1].ask("a", "b") == ["revoked", "accept"]

    at_stations(server, test, 3, timeout=1)

    assert set(answers) == {
        ("a", "revoked"),
        ("a", UNAVAILABLE),
        ("b", "accept"),
        ("b", UNAVAILABLE),
    }


def test_hang_takes_no_longer_than_the_timeout(server: RedisServer) -> None:
    async def test(station: Station) -> None:
        assert await station.ask("a") == ["accept"]
        server.hang()
        begun = time.monotonic()
        assert await station.ask("a", "b", "c") == [UNAVAILABLE] * 3
        with pytest.raises(VerifierUnavailable):
            await station.revoke("a")
        # Twice the timeout, and time enough for a slow machine.
        assert time.monotonic() - begun < 20

    at_stations(server, test, timeout=1)


def test_answer_that_comes_too_late_is_the_answer_to_nothing_else(server: RedisServer) -> None:
    async def test(station: Station) -> None:
        await station.revoke("a")
        for _ in range(3):
            server.hang()
            assert await station.ask(*"abab") == [UNAVAILABLE] * 4
            server.wake()
            assert await station.ask(*"bbbabb") == [*["accept"] * 3, "revoked", *["accept"] * 2]

    at_stations(server, test, timeout=0.5)


def test_cancelled_question_leaves_its_answer_to_nobody(server: RedisServer) -> None:
    async def test(station: Station) -> None:
        await station.revoke("a")
        for _ in range(5):
            server.hang()
            asking = asyncio.create_task(station.list.is_revoked(None, "b"))
            await asyncio.sleep(0.01)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            server.wake()
            assert await station.ask("a", "b") == ["revoked", "accept"]

    at_stations(server, test, timeout=5)


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_open_list_lets_pass_in_an_outage_and_says_so(
    server: RedisServer,
    outage: Callable[[RedisServer], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(station: Station) -> None:
        await station.revoke("a")
        assert await station.ask("a", "b") == ["revoked", "accept"]
        assert caplog.messages == []
        outage(server)
        assert await station.ask("a", "b") == ["accept"] * 2
        # Who revokes a token must learn that it is not.
        with pytest.raises(VerifierUnavailable):
            await station.revoke("b")
        await asyncio.to_thread(recover, server)
        assert await station.ask("a", "b") == ["revoked", "accept"]

    with caplog.at_level(logging.INFO, "fastapi_scopes"):
        at_stations(server, test, timeout=1, fail_open=True)

    levels = [(each.levelname, each.getMessage().rpartition(":")[0]) for each in caplog.records]
    assert levels == [
        ("ERROR", "the revocation list cannot be asked"),
        ("ERROR", "the revocation list cannot be asked"),
        ("ERROR", "the revocation list takes no entry"),
    ]
    assert str(server.port) not in caplog.text


def test_open_list_lets_nobody_pass_who_is_refused_anyway(server: RedisServer) -> None:
    async def test(station: Station) -> None:
        server.kill()
        assert await station.ask("a") == ["accept"]
        station.verifier = KINDS["given-keys"](
            revocations=station.list, now=lambda: time.time() + 10_000
        )
        assert await station.ask("a") == ["expired"]

    at_stations(server, test, timeout=1, fail_open=True)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_outage_is_503_with_the_time_to_come_back(server: RedisServer, door: Door) -> None:
    connection = Redis(host="127.0.0.1", port=server.port)
    revocations = RedisRevocationList(connection, timeout=1)
    verifier = KINDS["given-keys"](revocations=revocations, now=time.time)
    app = door(ScopeGuard({"GET /x": []}, verifier=verifier))
    app.add_api_route("/x", lambda: "ran")
    headers = {"Authorization": f"Bearer {token('a')}"}

    # One event loop for all requests, as a client of Redis wants it.
    with TestClient(app) as client:
        assert client.get("/x", headers=headers).json() == "ran"
        server.kill()
        refused = client.get("/x", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (503, UNAVAILABLE)
        assert int(refused.headers["retry-after"]) >= 1
        server.start()
        assert client.get("/x", headers=headers).json() == "ran"
        assert client.portal is not None
        client.portal.call(connection.aclose)


CLIENTS: Mapping[str, Callable[[RedisServer], Redis]] = {
    # redis-py gives the first of these no retry, and the second one with pauses.
    "of-a-url": lambda server: Redis.from_url(server.url),
    "of-a-host": lambda server: Redis(host="127.0.0.1", port=server.port),
}


@pytest.mark.parametrize("connect", CLIENTS.values(), ids=CLIENTS)
def test_connections_of_before_a_restart_refuse_nobody_after_it(
    server: RedisServer, connect: Callable[[RedisServer], Redis]
) -> None:
    async def run() -> None:
        client = connect(server)
        revoked = RedisRevocationList(client)
        await revoked.revoke(None, "1", exp=time.time() + 60)
        await asyncio.gather(*(revoked.is_revoked(None, "1") for _ in range(20)))
        await asyncio.to_thread(recover, server)
        for burst in (1, 3, 20):
            answers = await asyncio.gather(
                *(revoked.is_revoked(None, str(number % 2)) for number in range(burst))
            )
            assert answers == [bool(number % 2) for number in range(burst)]
        await client.aclose()

    asyncio.run(run())
