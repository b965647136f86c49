"""Revoked tokens in a real Redis: shared, kept, and never guessed at."""

import asyncio
import logging
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from fastapi_scopes.errors import ConfigurationError, VerifierUnavailable
from fastapi_scopes.verifiers import RedisRevocationList
from tests.issuers.redis_server import RedisServer
from tests.verifiers.stations import ISSUER, Station, at_stations

ROOT = Path(__file__).parents[2]
NO_RETRY = Retry(NoBackoff(), 0)
CANARY = "canary-0123456789"


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    """A server that stays up; each test has lists of its own in it."""
    with RedisServer() as server:
        yield server


CLIENTS: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "decoding": {"decode_responses": True},
    "resp3": {"protocol": 3},
    "resp2": {"protocol": 2},
}


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_what_one_revokes_another_refuses(shared: RedisServer, client: dict[str, Any]) -> None:
    async def test(one: Station, other: Station) -> None:
        assert await one.ask("a", "b") == await other.ask("a", "b") == ["accept"] * 2
        await one.revoke("a")
        assert await one.ask("a", "b") == await other.ask("a", "b") == ["revoked", "accept"]

    at_stations(shared, test, 2, client=client, prefix=f"shared-{client}:")


REVOKE = """
import asyncio, sys, time
from redis.asyncio import Redis
from fastapi_scopes.verifiers import RedisRevocationList

async def revoke(port, jti):
    async with Redis(host="127.0.0.1", port=port) as client:
        revocations = RedisRevocationList(client, prefix="processes:")
        await revocations.revoke("https://as.example", jti, exp=time.time() + 600)

asyncio.run(revoke(int(sys.argv[1]), sys.argv[2]))
"""


def test_what_another_process_revokes_is_refused(shared: RedisServer) -> None:
    async def test(station: Station) -> None:
        assert await station.ask("a") == ["accept"]
        command = [sys.executable, "-c", REVOKE, str(shared.port), "a"]
        await asyncio.to_thread(subprocess.run, command, cwd=ROOT, check=True)
        assert await station.ask("a", "b") == ["revoked", "accept"]

    at_stations(shared, test, prefix="processes:")


OTHERS: Mapping[str, tuple[str | None, str]] = {
    "another-jti": (ISSUER, "other"),
    "another-issuer": ("https://partner.example", "one"),
    "no-issuer": (None, "one"),
    "longer": (ISSUER, "one1"),
    "pattern": (ISSUER, "*"),
    "swapped": ("one", ISSUER),
}


@pytest.mark.parametrize(("issuer", "jti"), OTHERS.values(), ids=OTHERS)
def test_token_is_revoked_by_issuer_and_jti_together(
    shared: RedisServer, issuer: str | None, jti: str
) -> None:
    async def test(station: Station) -> None:
        await station.revoke("one")
        assert await station.list.is_revoked(ISSUER, "one")
        assert not await station.list.is_revoked(issuer, jti)

    at_stations(shared, test, prefix="names:")


def test_lists_of_two_prefixes_are_two(shared: RedisServer) -> None:
    async def test(station: Station) -> None:
        other = RedisRevocationList(station.client, prefix="two:")
        await station.revoke("a", issuer=None)
        assert await station.list.is_revoked(None, "a")
        assert not await other.is_revoked(None, "a")

    at_stations(shared, test, prefix="one:")


def test_entry_lasts_until_no_leeway_lets_its_token_pass(shared: RedisServer) -> None:
    async def test(station: Station) -> None:
        await station.revoke("one", lasts=600.5)
        await station.revoke("gone", lasts=-700)
        await station.revoke("leeway", lasts=-200)
        names = [each async for each in station.client.scan_iter("expiry:*")]
        lifetimes = sorted([await station.client.ttl(each) for each in names])

        assert [390 < lifetimes[0] <= 401, 1190 < lifetimes[1] <= 1202] == [True, True]
        assert len(names) == 2
        assert await station.ask("one", "leeway", "gone") == ["revoked", "revoked", "accept"]

    at_stations(shared, test, prefix="expiry:")


def test_entry_goes_by_itself(shared: RedisServer) -> None:
    async def test(station: Station) -> None:
        # Redis counts in whole seconds here, so that is within three and four.
        await station.revoke("one", lasts=-597)
        assert await station.ask("one") == ["revoked"]
        deadline = time.monotonic() + 60
        while await station.ask("one") != ["accept"]:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)

    at_stations(shared, test, prefix="goes:")


@pytest.mark.parametrize("entry", [(1, "one", 1), (None, "", 1), (None, "one", None)], ids=str)
def test_entry_that_names_no_token_is_refused(shared: RedisServer, entry: Any) -> None:
    async def test(station: Station) -> None:
        issuer, jti, exp = entry
        with pytest.raises(ConfigurationError):
            await station.list.revoke(issuer, jti, exp=exp)

    at_stations(shared, test)


def test_entry_that_redis_does_not_take_is_an_error(shared: RedisServer) -> None:
    async def test(station: Station) -> None:
        await station.client.config_set("maxmemory", "1")
        try:
            with pytest.raises(VerifierUnavailable):
                await station.revoke("one")
            assert await station.ask("one") == ["accept"]
        finally:
            await station.client.config_set("maxmemory", "0")
        await station.revoke("one")
        assert await station.ask("one") == ["revoked"]

    at_stations(shared, test, prefix="full:")


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


def test_error_names_neither_host_nor_password(
    shared: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(station: Station) -> None:
        errors = []
        for ask in (station.list.is_revoked(None, "a"), station.list.revoke(None, "a", exp=1)):
            with pytest.raises(VerifierUnavailable) as caught:
                await ask
            errors.append(caught.value)
        text = "".join(map(shown, errors)) + caplog.text + repr(station.list)
        assert CANARY not in text
        assert "127.0.0.1" not in text
        assert str(shared.port) not in text
        assert caplog.messages == [
            "the revocation list cannot be asked: AuthenticationError",
            "the revocation list takes no entry: AuthenticationError",
        ]
        assert errors[0].__context__ is None

    account = {"username": CANARY, "password": CANARY, "retry": NO_RETRY}
    with caplog.at_level(logging.INFO, "fastapi_scopes"):
        at_stations(shared, test, client=account)


NO_CLIENTS: Mapping[str, Any] = {
    "none": None,
    "url": f"redis://:{CANARY}@127.0.0.1/0",
    "class": Redis,
    "sync": redis.Redis(),
    "pool": ConnectionPool(),
    "mapping": {"host": "127.0.0.1"},
}


@pytest.mark.parametrize("client", NO_CLIENTS.values(), ids=NO_CLIENTS)
def test_what_is_no_client_for_asyncio_is_named_by_its_type(client: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisRevocationList(client)

    kind = type(client).__name__
    assert str(caught.value) == f"client is a {kind!r}; pass a redis.asyncio.Redis"


def test_cluster_is_a_client() -> None:
    assert "'x:'" in repr(RedisRevocationList(RedisCluster(host="127.0.0.1"), prefix="x:"))


BAD: Mapping[str, tuple[dict[str, Any], str]] = {
    "prefix-empty": ({"prefix": ""}, "prefix is no text"),
    "prefix-none": ({"prefix": None}, "prefix is no text"),
    "prefix-bytes": ({"prefix": b"x"}, "prefix is no text"),
    "timeout-zero": ({"timeout": 0}, "timeout is no number of seconds"),
    "timeout-negative": ({"timeout": -1}, "timeout is no number of seconds"),
    "timeout-nan": ({"timeout": float("nan")}, "timeout is no number of seconds"),
    "timeout-infinite": ({"timeout": float("inf")}, "timeout is no number of seconds"),
    "timeout-true": ({"timeout": True}, "timeout is no number of seconds"),
    "timeout-text": ({"timeout": "1"}, "timeout is no number of seconds"),
    "fail-open-text": ({"fail_open": "false"}, "fail_open is no bool but a 'str'"),
    "fail-open-none": ({"fail_open": None}, "fail_open is no bool but a 'NoneType'"),
    "timeout-none": ({"timeout": None}, "timeout is no number of seconds"),
}


@pytest.mark.parametrize(("setting", "problem"), BAD.values(), ids=BAD)
def test_bad_setting_is_named_by_the_constructor(setting: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisRevocationList(Redis(), **setting)

    assert len(caught.value.problems) == 1
    assert problem in str(caught.value)


@pytest.mark.parametrize("missing", ["redis", "redis.asyncio"])
def test_missing_library_is_named_with_the_way_to_it(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Redis()
    for name in [each for each in sys.modules if f"{each}.".startswith(f"{missing}.")]:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(ConfigurationError, match=r"pip install 'fastapi-scopes\[redis\]'"):
        RedisRevocationList(client)
