"""The MCP example as a process: what its client prints, and the calls that it prints."""

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.issuers.examples import ROOT, Example, running

PAGE = (ROOT / "docs" / "mcp.md").read_text()
COMMAND = (
    'python3 -m venv .venv && .venv/bin/pip install -e ".[mcp]"'
    " && .venv/bin/python examples/mcp_server.py --client\n"
)
ARGUMENTS = shlex.split(COMMAND.rpartition(".venv/bin/python ")[2])
RESULT = re.compile(r"^=> (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with running(tmp_path_factory.mktemp("example"), ARGUMENTS) as example:
        example.wait_for(RESULT, 3)
        yield example


def test_documented_command_of_the_mcp_server_stands_alone_in_its_block() -> None:
    assert f"<!-- example -->\n```sh\n{COMMAND}```\n" in PAGE


def test_client_of_the_example_reads_and_writes(example: Example) -> None:
    first = "fastapi_scopes: hello"
    assert RESULT.findall(example.log) == [first, "alice: hello", first]
    assert "is asked for: mcp:use offline_access mcp:write" in example.log


def test_printed_calls_of_the_mcp_server_are_answered_as_is_printed(example: Example) -> None:
    refused, metadata = example.answers_to({})
    assert example.promised == [refused.status_code, metadata.status_code] == [401, 200]
    assert f'resource_metadata="{metadata.url}"' in refused.headers["www-authenticate"]
    assert metadata.json()["resource"] == f"http://127.0.0.1:{example.port}/mcp"


def test_no_token_is_printed(example: Example) -> None:
    assert "eyJ" not in example.log
    assert "Bearer realm" in example.log


def test_page_shows_what_the_example_prints(example: Example) -> None:
    """But for the ports, which differ, and for what is asked several times."""
    (shown,) = re.findall(r"^```text\n(# the client reads.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    printed = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", example.log).splitlines()
    lines = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", shown).splitlines()
    assert [each for each in lines if each not in printed] == []
