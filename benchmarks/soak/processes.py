"""The served application as a process of its own, and all that it says."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx

from benchmarks.soak.credentials import SECRET_MARK
from tests.issuers.ports import LOOPBACK, HeldPort

_ROOT = Path(__file__).parents[2]
_STARTED_WITHIN = 30.0
_ENDED_WITHIN = 15.0
# As long as any worker may be at one request, so that no connection closes under the next one.
_KEEP_ALIVE = 120

_LEVEL = re.compile(r"(WARNING|ERROR|CRITICAL)[: ]\s*(.*)")
_NUMBERS = re.compile(r"\d+")
# The first two parts of every token begin so: it is `{"` in base64. The third is long.
_TOKEN = re.compile(
    rb"eyJ[A-Za-z0-9_-]|[A-Za-z0-9_-]{60,}|[Bb]earer\s+[A-Za-z0-9._~+/-]{8,}|%b"
    % SECRET_MARK.encode()
)


class Output:
    """What a process wrote so far: how much of what, and whether any of it is of a token."""

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter()
        """Lines of level WARNING and above, and tracebacks, without what varies."""
        self.token_lines = 0
        # Nobody else sees it, and it is gone with whoever has it open.
        self._file = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115 - `close`
        self._read = 0

    def fileno(self) -> int:
        return self._file.fileno()

    def scan(self) -> None:
        """Read on from where the last scan ended, whole lines alone."""
        while chunk := os.pread(self.fileno(), 1 << 20, self._read):
            whole = chunk[: chunk.rfind(b"\n") + 1] or (chunk if len(chunk) == 1 << 20 else b"")
            if not whole:
                return
            self._read += len(whole)
            for line in whole.splitlines():
                self._note(line)

    def close(self) -> None:
        self.scan()
        self._file.close()

    def _note(self, line: bytes) -> None:
        self.token_lines += _TOKEN.search(line) is not None
        text = line.decode("utf-8", "replace")
        if text.startswith("Traceback "):
            self.lines["TRACEBACK"] += 1
        elif found := _LEVEL.match(text):
            level, message = found.groups()
            self.lines[f"{level} {_NUMBERS.sub('#', message)}"] += 1


class ServedApp:
    """uvicorn with `served`, an asynchronous context manager; never outlives this process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._port = HeldPort()
        self.origin = f"http://{LOOPBACK}:{self._port.number}"
        self.output = Output()
        self.exit_code: int | None = None
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        command = [sys.executable, "-m", "uvicorn", "benchmarks.soak.served:make_app", "--factory"]
        options = {
            "--host": LOOPBACK,
            "--port": str(self._port.number),
            "--timeout-keep-alive": str(_KEEP_ALIVE),
        }
        # The process ends with the pipe to its standard input, however this one ends.
        self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - quick; a command of our own
            [*command, *(part for option in options.items() for part in option), "--no-access-log"],
            cwd=_ROOT,
            env={**os.environ, **self._environment},
            stdin=subprocess.PIPE,
            stdout=self.output.fileno(),
            stderr=subprocess.STDOUT,
        )
        try:
            await self._wait()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self.exit_code = await asyncio.to_thread(self._process.wait, _ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._process.kill()
            self._process.communicate()
            self._port.close()
            self.output.close()

    @property
    def memory(self) -> int | None:
        """The resident memory of the process in KiB, None where the system does not say."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status")
        if not status.exists():
            return None
        found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
        return int(found[1]) if found else None

    @property
    def open_files(self) -> int | None:
        """How many files and sockets it has open, None where the system does not say."""
        assert self._process is not None
        folder = Path(f"/proc/{self._process.pid}/fd")
        return len(list(folder.iterdir())) if folder.exists() else None

    async def _wait(self) -> None:
        deadline = time.monotonic() + _STARTED_WITHIN
        async with httpx.AsyncClient(base_url=self.origin, trust_env=False) as client:
            while True:
                try:
                    await client.get("/open/public")
                except httpx.TransportError as error:
                    assert self._process is not None
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError("the served application does not start") from error
                    await asyncio.sleep(0.05)
                else:
                    return
