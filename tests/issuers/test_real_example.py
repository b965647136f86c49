"""The example with a real authorization server, as a process, and what it prints to be tried."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.issuers.examples import ROOT, Example, running

PAGE = (ROOT / "docs" / "issuers.md").read_text()
COMMAND = (
    'python3 -m venv .venv && .venv/bin/pip install -e ".[issuer]"'
    " && .venv/bin/python examples/real_issuer.py --rotate-every 60\n"
)
ARGUMENTS = shlex.split(COMMAND.rpartition(".venv/bin/python ")[2])

TOKEN = re.compile(r"^export (\w+_TOKEN)=(\S+)$", re.MULTILINE)
CLIENTS = {"READER_TOKEN", "CLERK_TOKEN", "AUDITOR_TOKEN"}


def tokens_of(example: Example, turn: int = 0) -> Mapping[str, str]:
    """Return what was printed in that turn, as soon as it is there."""
    example.wait_for(TOKEN, (turn + 1) * len(CLIENTS))
    printed = TOKEN.findall(example.log)
    return dict(printed[turn * len(CLIENTS) : (turn + 1) * len(CLIENTS)])


def answers_to(tokens: Mapping[str, str], example: Example) -> list[int]:
    return [each.status_code for each in example.answers_to(tokens)]


def test_documented_command_stands_alone_in_its_block() -> None:
    assert f"<!-- example -->\n```sh\n{COMMAND}```\n" in PAGE


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with running(tmp_path_factory.mktemp("example"), ARGUMENTS) as example:
        yield example


def test_printed_calls_are_answered_as_is_printed(example: Example) -> None:
    tokens = tokens_of(example)

    assert tokens.keys() == CLIENTS
    assert example.promised == [200, 403, 200, 200]
    assert answers_to(tokens, example) == example.promised


def test_log_says_why_a_token_is_refused_and_not_which(example: Example) -> None:
    forged = {name: token[:-8] + "AAAAAAAA" for name, token in tokens_of(example).items()}

    assert answers_to(forged, example) == [401] * 4
    example.wait_for(re.compile("refused GET on /audit: signature"))
    assert not any(token in example.log for token in forged.values())
    assert "HTTP Request:" not in example.log


def test_token_works_until_the_keys_have_changed_twice(tmp_path: Path) -> None:
    with running(tmp_path, [*ARGUMENTS, "--rotate-every", "4"]) as example:
        first = tokens_of(example)
        assert answers_to(first, example) == example.promised

        second, third = tokens_of(example, 1), tokens_of(example, 2)
        assert answers_to(third, example) == example.promised
        assert answers_to(second, example) == example.promised
        assert answers_to(first, example) == [401] * len(example.promised)
        example.wait_for(re.compile("refused GET on /audit: unknown_key"))
