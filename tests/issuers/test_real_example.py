"""The example with a real authorization server, as a process, and what it prints to be tried."""

import re
import shlex
import string
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.issuers.ports import LOOPBACK, HeldPort

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "issuers.md").read_text()
COMMAND = (
    'python3 -m venv .venv && .venv/bin/pip install -e ".[issuer]"'
    " && .venv/bin/python examples/real_issuer.py --rotate-every 60\n"
)
ARGUMENTS = shlex.split(COMMAND.rpartition(".venv/bin/python ")[2])

CALL = re.compile(r"^# .+: (\d{3})\n(curl .+)$", re.MULTILINE)
TOKEN = re.compile(r"^export (\w+_TOKEN)=(\S+)$", re.MULTILINE)
CLIENTS = {"READER_TOKEN", "CLERK_TOKEN", "AUDITOR_TOKEN"}
PATIENCE = 60

_curl = ArgumentParser("curl")
_curl.add_argument("-i", action="store_true")
_curl.add_argument("-X", dest="method", default="GET")
_curl.add_argument("-H", dest="header", required=True)
_curl.add_argument("url")


class Example:
    """The example, started with the documented arguments and *more*."""

    def __init__(self, folder: Path, port: int, *more: str) -> None:
        self._log = folder / "example.log"
        command = [sys.executable, *ARGUMENTS, "--port", str(port), *more]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def tokens(self, turn: int = 0) -> Mapping[str, str]:
        """Return what was printed in that turn, as soon as it is there."""
        self.wait_for(TOKEN, (turn + 1) * len(CLIENTS))
        printed = TOKEN.findall(self.log)
        return dict(printed[turn * len(CLIENTS) : (turn + 1) * len(CLIENTS)])

    def wait_for(self, pattern: re.Pattern[str], count: int = 1) -> None:
        """Return when it has printed *pattern* that often."""
        deadline = time.monotonic() + PATIENCE
        while len(pattern.findall(self.log)) < count:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def answers_to(self, tokens: Mapping[str, str]) -> list[int]:
        """Walk the calls that it prints with *tokens*, and return the statuses."""
        return [asked(call, tokens).status_code for _, call in CALL.findall(self.log)]

    @property
    def promised(self) -> list[int]:
        return [int(status) for status, _ in CALL.findall(self.log)]


def asked(call: str, tokens: Mapping[str, str]) -> httpx.Response:
    """What a shell with *tokens* gets for one printed line."""
    words = shlex.split(string.Template(call).substitute(tokens))
    request = _curl.parse_args(words[1:])
    name, _, value = request.header.partition(": ")
    return httpx.request(request.method, request.url, headers={name: value}, trust_env=False)


@contextmanager
def running(folder: Path, *more: str) -> Iterator[Example]:
    port = HeldPort()
    example = Example(folder, port.number, *more)
    try:
        example.wait_for(re.compile(f"Uvicorn running on http://{LOOPBACK}:{port.number}"))
        yield example
    finally:
        example.process.terminate()
        example.process.wait(PATIENCE)
        port.close()


def test_documented_command_stands_alone_in_its_block() -> None:
    assert f"<!-- example -->\n```sh\n{COMMAND}```\n" in PAGE


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with running(tmp_path_factory.mktemp("example")) as example:
        yield example


def test_printed_calls_are_answered_as_is_printed(example: Example) -> None:
    tokens = example.tokens()

    assert tokens.keys() == CLIENTS
    assert example.promised == [200, 403, 200, 200]
    assert example.answers_to(tokens) == example.promised


def test_log_says_why_a_token_is_refused_and_not_which(example: Example) -> None:
    forged = {name: token[:-8] + "AAAAAAAA" for name, token in example.tokens().items()}

    assert example.answers_to(forged) == [401] * 4
    example.wait_for(re.compile("refused GET on /audit: signature"))
    assert not any(token in example.log for token in forged.values())
    assert "HTTP Request:" not in example.log


def test_token_works_until_the_keys_have_changed_twice(tmp_path: Path) -> None:
    with running(tmp_path, "--rotate-every", "4") as example:
        first = example.tokens()
        assert example.answers_to(first) == example.promised

        second, third = example.tokens(1), example.tokens(2)
        assert example.answers_to(third) == example.promised
        assert example.answers_to(second) == example.promised
        assert example.answers_to(first) == [401] * len(example.promised)
        example.wait_for(re.compile("refused GET on /audit: unknown_key"))
