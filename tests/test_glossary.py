"""docs/glossary.md agrees with the code: every word says where it is, and that is there."""

import re
from importlib import import_module
from pathlib import Path

import pytest

import fastapi_scopes

PAGE = Path(fastapi_scopes.__file__).parents[1] / "docs" / "glossary.md"
ROWS = re.findall(r"^\| \*\*(.+?)\*\* \| (.+) \| (.+) \|$", PAGE.read_text(), flags=re.MULTILINE)
NAMES = [(word, name) for word, _, names in ROWS for name in re.findall(r"`([\w.]+)`", names)]
# The nouns of the design that the code has; those of later steps come with their code.
NOUNS = {
    *("scope", "claims", "principal", "issuer", "audience", "resource server", "credentials"),
    *("access token", "verify", "authenticate", "authorize", "requirement", "rule", "scope map"),
    *("route template", "endpoint", "decision", "reason", "problem", "challenge", "grant"),
    *("missing", "pinning", "gate", "perimeter", "coverage"),
}


def test_glossary_has_the_nouns_of_the_design() -> None:
    words = {each for word, _, _ in ROWS for each in word.split(", ")}
    assert NOUNS - words == set()


def test_every_row_of_the_table_is_read_and_in_order() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| **")]
    assert len(lines) == len(ROWS) > 40
    words = [word.lower() for word, _, _ in ROWS]
    assert words == sorted(words)


def test_every_word_says_where_the_code_has_it() -> None:
    assert {word for word, _, _ in ROWS} - {word for word, _ in NAMES} == set()


@pytest.mark.parametrize(("word", "name"), NAMES)
def test_name_is_in_the_code(word: str, name: str) -> None:
    if name.startswith("agentos"):
        pytest.importorskip("agno", reason="agno is not installed")
    home, _, last = f"fastapi_scopes.{name}".rpartition(".")
    if last[0].isupper():
        assert hasattr(import_module(home), last)
    else:
        import_module(f"{home}.{last}")
