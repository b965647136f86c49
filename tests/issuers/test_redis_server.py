"""The Redis of the tests is real: it crashes, hangs and comes back with its data."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.issuers.redis_server import RedisServer, answers

ROOT = Path(__file__).parents[2]
OWNER = """
from tests.issuers.redis_server import RedisServer
with RedisServer() as server:
    print(server.port, server.pid, flush=True)
    input()
"""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def ask(server: RedisServer, *, timeout: float = 10) -> redis.Redis:
    # One retry finds a server that was started again; the default of many would multiply *timeout*.
    return redis.Redis(
        port=server.port, socket_timeout=timeout, decode_responses=True, retry=Retry(NoBackoff(), 1)
    )


def test_killed_server_refuses_connections(server: RedisServer) -> None:
    server.kill()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), 1)


def test_kill_breaks_open_connections(server: RedisServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(64) == b"+PONG\r\n"
        server.kill()

        assert connection.recv(1) == b""


def test_answered_write_survives_kill(server: RedisServer) -> None:
    with ask(server) as client:
        client.set("jti", "revoked", ex=600)
        client.set("other", "revoked")
        server.kill()
        server.start()

        assert client.get("jti") == "revoked"
        assert 590 < int(client.ttl("jti")) <= 600
        assert client.get("other") == "revoked"


def test_address_stays_through_restarts(server: RedisServer) -> None:
    url, pids = server.url, {server.pid}
    for _ in range(3):
        server.kill()
        server.start()
        pids.add(server.pid)

        assert answers(server.port)
    assert server.url == url == f"redis://127.0.0.1:{server.port}/0"
    assert len(pids) == 4


def test_hung_server_takes_connections_and_never_answers(server: RedisServer) -> None:
    with ask(server) as client, ask(server, timeout=0.1) as impatient:
        client.set("jti", "revoked")
        server.hang()

        with pytest.raises(redis.TimeoutError):
            impatient.get("jti")
        with socket.create_connection(("127.0.0.1", server.port), 1) as connection:
            connection.settimeout(0.1)
            connection.sendall(b"PING\r\n")
            with pytest.raises(TimeoutError):
                connection.recv(1)

        server.wake()
        assert client.get("jti") == "revoked"


def test_hung_server_can_be_killed(server: RedisServer) -> None:
    server.hang()
    server.kill()
    server.start()

    assert answers(server.port)


def test_no_pid_without_a_process(server: RedisServer) -> None:
    server.kill()

    with pytest.raises(RuntimeError, match="no redis-server runs"):
        _ = server.pid


def test_two_servers_share_nothing(server: RedisServer) -> None:
    with RedisServer() as other, ask(server) as one, ask(other) as two:
        one.set("jti", "revoked")

        assert two.get("jti") is None


def test_server_ends_with_its_context() -> None:
    with RedisServer() as server:
        port = server.port

    assert not answers(port)


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "hung"])
def test_server_does_not_outlive_a_killed_owner(frozen: bool, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        port, pid = map(int, owner.stdout.readline().split())
        assert answers(port)
        if frozen:
            os.kill(pid, signal.SIGSTOP)

        owner.kill()

    deadline = time.monotonic() + 60
    while takes_connections(port):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionError:
        return False
    return True
