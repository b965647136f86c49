"""An example as a process, and the calls that it prints to be tried."""

import re
import shlex
import string
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from tests.issuers.ports import LOOPBACK, HeldPort

ROOT = Path(__file__).parents[2]
CALL = re.compile(r"^# .+: (\d{3})\n(curl .+)$", re.MULTILINE)
PATIENCE = 60

_curl = ArgumentParser("curl")
_curl.add_argument("-i", action="store_true")
_curl.add_argument("-X", dest="method", default="GET")
_curl.add_argument("-H", dest="header")
_curl.add_argument("url")


class Example:
    """An example that was started with *arguments*, on *port*."""

    def __init__(self, folder: Path, arguments: Sequence[str], *, port: int) -> None:
        self.port = port
        self._log = folder / "example.log"
        command = [sys.executable, *arguments, "--port", str(port)]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for(self, pattern: re.Pattern[str], count: int = 1) -> None:
        """Return when it has printed *pattern* that often."""
        deadline = time.monotonic() + PATIENCE
        while len(pattern.findall(self.log)) < count:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def answers_to(self, variables: Mapping[str, str]) -> list[httpx.Response]:
        """Walk the calls that it prints, in a shell with *variables*."""
        return [asked(call, variables) for _, call in CALL.findall(self.log)]

    @property
    def promised(self) -> list[int]:
        return [int(status) for status, _ in CALL.findall(self.log)]


def asked(call: str, variables: Mapping[str, str]) -> httpx.Response:
    """What a shell with *variables* gets for one printed line."""
    words = shlex.split(string.Template(call).substitute(variables))
    request = _curl.parse_args(words[1:])
    name, _, value = (request.header or "").partition(": ")
    headers = {name: value} if name else {}
    return httpx.request(request.method, request.url, headers=headers, trust_env=False)


@contextmanager
def running(folder: Path, arguments: Sequence[str]) -> Iterator[Example]:
    with closing(HeldPort()) as port:
        example = Example(folder, arguments, port=port.number)
        try:
            example.wait_for(re.compile(f"Uvicorn running on http://{LOOPBACK}:{port.number}"))
            yield example
            example.process.terminate()
            example.process.wait(PATIENCE)
        finally:
            example.process.kill()
            example.process.wait()
