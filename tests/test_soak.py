"""The soak runs, finds nothing wrong in a quarter of a minute, and would say so if it did."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.soak.credentials import Credential, Kind, Standing
from benchmarks.soak.limits import Limits
from benchmarks.soak.oracle import Access, Route, right_statuses
from benchmarks.soak.timeline import KeyRecord, RedisState, Timeline
from tests.issuers.faulty import SigningKey

ROOT = Path(__file__).parents[1]
# Everything that a cycle of a minute has, in eight seconds.
SHORT = {"--minutes": 0.25, "--cycle": 8, "--ttl": 3, "--cooldown": 1, "--timeout": 2}

KEY, OTHER = SigningKey("key", None, "ES256"), SigningKey("other", None, "ES256")
SCOPED = Route("/scoped", scopes=frozenset({"a:read"}))


# A quarter of a minute by the clock, with a Redis, issuers and servers of its own.
@pytest.mark.full
def test_soak_finds_nothing_wrong() -> None:
    options = [part for option, value in SHORT.items() for part in (option, str(value))]
    soak = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", *options, "--workers", "12"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert soak.returncode == 0, soak.stdout + soak.stderr


def signed(app: str = "closed", **more: Any) -> Credential:
    members = {"key": KEY, "scopes": SCOPED.scopes, **more}
    return Credential(Kind.CURRENT, app, Standing.SIGNED, **members)


def past(*keys: KeyRecord, redis: RedisState = RedisState.UP) -> Timeline:
    timeline = Timeline(Limits(ttl=60, cooldown=10, timeout=5))
    timeline.keys.extend(keys or (KeyRecord(KEY, 0, 0),))
    timeline.redis.mark(redis)
    return timeline


UP, AWAY, CHANGING = RedisState.UP, RedisState.KILLED, RedisState.CHANGING
REVOKED: dict[str, Any] = {"is_revoked": True}


@pytest.mark.parametrize(
    ("credential", "redis", "right"),
    [
        (signed(), UP, {200}),
        (signed(scopes=frozenset()), UP, {403}),
        (signed(expires=0), UP, {401}),
        (signed(not_before=2e10), UP, {401}),
        (signed(key=OTHER), UP, {401}),
        (signed(names_key=False), UP, {200}),
        (signed(**REVOKED), UP, {401}),
        (signed(), AWAY, {503}),
        (signed(), CHANGING, {200, 503}),
        (signed(expires=0), AWAY, {401}),
        (signed(**REVOKED), AWAY, {503}),
        (signed(**REVOKED), CHANGING, {401, 503}),
        (signed("open"), AWAY, {200}),
        (signed("open", **REVOKED), AWAY, {200, 401}),
        (signed("open", **REVOKED), UP, {401}),
    ],
)
def test_soak_tells_right_from_wrong(
    credential: Credential, redis: RedisState, right: set[int]
) -> None:
    now = time.time() + 1
    assert right_statuses(credential, SCOPED, now, now, timeline=past(redis=redis)) == right


@pytest.mark.parametrize(
    ("access", "credential", "right"),
    [
        (Access.PUBLIC, signed(), {200}),
        (Access.PUBLIC, signed(expires=0), {200}),
        (Access.DENIED, signed(), {403}),
        (Access.DENIED, signed(expires=0), {401}),
    ],
)
def test_soak_knows_that_some_routes_ask_for_no_scope(
    access: Access, credential: Credential, right: set[int]
) -> None:
    now = time.time() + 1
    assert right_statuses(credential, Route("/x", access), now, now, timeline=past()) == right


@pytest.mark.parametrize(
    ("retired_ago", "right"), [(0, {200, 401}), (61, {200, 401}), (62, {401})], ids=str
)
def test_soak_knows_until_when_a_retired_key_may_hold(retired_ago: float, right: set[int]) -> None:
    now = time.time()
    timeline = past(KeyRecord(KEY, 0, 0, retired_at=now - retired_ago))
    assert right_statuses(signed(), SCOPED, now, now, timeline=timeline) == right


@pytest.mark.parametrize(
    ("published_ago", "right"), [(1, {200, 401}), (16, {200, 401}), (17, {200})], ids=str
)
def test_soak_knows_from_when_a_new_key_must_hold(published_ago: float, right: set[int]) -> None:
    now = time.time()
    timeline = past(KeyRecord(KEY, now - published_ago, now - published_ago))
    assert right_statuses(signed(), SCOPED, now, now, timeline=timeline) == right
