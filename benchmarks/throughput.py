"""Requests a second through a real server: the guarded app beside the unguarded one.

Two uvicorn processes of one worker each share one core; the client has the other, and keeps its
connections open. Only one server is asked at a time, in short rounds that take turns. Beside the
clock stands the CPU of the server for each request, where the system tells it.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Comparison, Figure
from benchmarks.measures import pinned_to
from benchmarks.routes import PATH
from benchmarks.tokens import claims, hs256

CONNECTIONS, REQUESTS, LEAST = 8, 1_000, 0.92
PROTOCOLS = ("httptools", "h11")
APPS = {"bare": "benchmarks.gates:served_bare", "guarded": "benchmarks.gates:served_guarded"}


class Answers:
    """Counts answers over all connections; *all_here* is done with the last one."""

    def __init__(self) -> None:
        self._left = REQUESTS
        self.all_here: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wants_more(self) -> bool:
        """Count one answer, and tell whether another request is to be sent."""
        self._left -= 1
        if self._left == 0:
            self.all_here.set_result(None)
        return self._left >= CONNECTIONS


class Asking(asyncio.Protocol):
    """Sends one request after the other over one connection."""

    def __init__(self, request: bytes, size: int, answers: Answers) -> None:
        self._request = request
        self._size = size
        self._received = 0
        self._answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def begin(self) -> None:
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received < self._size:
            return
        self._received = 0
        if self._answers.wants_more():
            self.transport.write(self._request)


class Server:
    """One uvicorn process."""

    def __init__(self, app: str, protocol: str, core: int | None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        options = ["--http", protocol, "--loop", "asyncio", "--log-level", "warning"]
        options += ["--no-access-log", "--factory", "--port", str(self.port)]
        with pinned_to(core):
            self.process = subprocess.Popen([sys.executable, "-m", "uvicorn", app, *options])  # noqa: S603

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def cpu(self) -> float | None:
        """Return the seconds of CPU that the process has had."""
        told = Path(f"/proc/{self.process.pid}/schedstat")
        return int(told.read_text().split()[0]) / 1e9 if told.exists() else None

    async def answer_size(self, request: bytes) -> int:
        """Return the length of one answer, the same each time, as soon as there is one."""
        reader, writer = await self._connected()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        lines = head.lower().split(b"\r\n")
        length = next(line for line in lines if line.startswith(b"content-length:"))
        writer.close()
        return len(head) + int(length.partition(b":")[2])

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self.process.poll() is None:
            with suppress(ConnectionRefusedError):
                return await asyncio.open_connection("127.0.0.1", self.port)
            await asyncio.sleep(0.05)
        raise RuntimeError(f"uvicorn ended with {self.process.returncode}")

    async def round(self, request: bytes, size: int) -> tuple[float, float | None]:
        """Return the requests a second of one round: by the clock, by the CPU of the server."""
        loop, answers = asyncio.get_running_loop(), Answers()
        clients = [
            (
                await loop.create_connection(
                    lambda: Asking(request, size, answers), "127.0.0.1", self.port
                )
            )[1]
            for _ in range(CONNECTIONS)
        ]
        cpu, began = self.cpu(), time.perf_counter()
        for client in clients:
            client.begin()
        async with asyncio.timeout(60):
            await answers.all_here
        took, after = time.perf_counter() - began, self.cpu()
        for client in clients:
            client.transport.close()
        by_cpu = None if cpu is None or after is None else REQUESTS / (after - cpu)
        return REQUESTS / took, by_cpu


@contextmanager
def servers(protocol: str, core: int | None) -> Iterator[dict[str, Server]]:
    with ExitStack() as stack:
        made = {}
        for name, app in APPS.items():
            made[name] = Server(app, protocol, core)
            stack.callback(made[name].stop)
        yield made


async def rounds_of(protocol: str, rounds: int, core: int | None) -> dict[str, Sequence[float]]:
    """Return requests a second by the clock and, as "... CPU", by CPU: one of each a round."""
    token = hs256().mint(claims())
    request = (
        f"GET {PATH} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\n\r\n"
    ).encode()
    taken: dict[str, list[float]] = {}
    with servers(protocol, core) as made:
        sizes = {name: await server.answer_size(request) for name, server in made.items()}
        for number in range(rounds + 1):
            # Neither always comes after the other.
            for name in sorted(made, reverse=number % 2 == 1):
                speed, cpu = await made[name].round(request, sizes[name])
                # The first round warms.
                if number:
                    taken.setdefault(name, []).append(speed)
                    taken.setdefault(f"{name} CPU", []).extend([] if cpu is None else [cpu])
    return {name: values for name, values in taken.items() if values}


def comparisons(protocol: str) -> list[Comparison]:
    limit = LEAST if protocol == PROTOCOLS[0] else None
    return [
        Comparison(
            "throughput",
            f"{protocol}, requests a second {by}",
            f"guarded{row}",
            over=f"bare{row}",
            limit=limit,
            is_at_least=True,
        )
        for row, by in {"": "by the clock", " CPU": "of CPU of the server"}.items()
    ]


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the servers, and that of the client: the same one where there is but one."""

    servers: int | None
    client: int | None


def cores() -> Cores:
    if not hasattr(os, "sched_getaffinity"):
        return Cores(None, None)
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[-1], allowed[0])


def measure(rounds: int, cores: Cores) -> list[Figure]:
    figures = []
    for protocol in PROTOCOLS:
        with pinned_to(cores.client):
            taken = asyncio.run(rounds_of(protocol, rounds, cores.servers))
        figures += [each.figure(taken) for each in comparisons(protocol) if each.row in taken]
    return figures
