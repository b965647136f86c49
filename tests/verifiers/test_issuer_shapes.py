"""The rows of docs/your-issuer.md: settings that take what an issuer sends, and nothing else."""

import asyncio
import re
from collections import Counter
from contextlib import aclosing
from typing import Any

import pytest

from fastapi_scopes.errors import TokenError
from fastapi_scopes.verifiers import IntrospectionVerifier
from tests.issuer_shapes.page import PAGE, render
from tests.issuer_shapes.rows import (
    GROUPS,
    Row,
    all_rows,
    claims_of,
    settings_of,
    token_of,
    variants,
    verifier_of,
)
from tests.issuers.faulty import CLIENT_ID, CLIENT_SECRET
from tests.verifiers.introspecting import make_issuer
from tests.verifiers.minting import NOW

AS_IT_IS: Row = {}


async def claims_from(row: Row, variant: Row) -> Any:
    if "answer" not in row:
        return await verifier_of(row, variant).verify(token_of(row, variant))
    with make_issuer() as issuer:
        token = issuer.mint_opaque()
        issuer.tokens[token] = claims_of(row, variant)
        # The endpoint and the client are those of the loopback server, the rest is the row's.
        place = {"endpoint": issuer.introspection.url, "allow_http": True, "now": lambda: NOW}
        client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        verifier = IntrospectionVerifier(**{**settings_of(row), **place, **client})
        async with aclosing(verifier):
            return await verifier.verify(token)


def outcome(row: Row, variant: Row) -> Any:
    """The scopes, sorted, or the code of the refusal."""
    try:
        return sorted(asyncio.run(claims_from(row, variant)).scopes)
    except TokenError as error:
        return str(error.code)


@pytest.mark.parametrize("row", all_rows(), ids=lambda row: row["id"])
def test_settings_take_the_token_of_the_issuer(row: Row) -> None:
    assert outcome(row, AS_IT_IS) == row["scopes"]


@pytest.mark.parametrize(
    ("row", "variant"),
    [pytest.param(row, each, id=f"{row['id']}-{each['id']}") for row, each in variants()],
)
def test_settings_judge_what_else_the_issuer_signs(row: Row, variant: Row) -> None:
    assert outcome(row, variant) == variant.get("code", variant.get("scopes"))


@pytest.mark.parametrize(
    "row", [row for row in all_rows() if "client_id" in row], ids=lambda row: row["id"]
)
def test_client_of_the_token_is_told(row: Row) -> None:
    assert asyncio.run(claims_from(row, AS_IT_IS)).client_id == row["client_id"]


def test_every_row_refuses_something() -> None:
    refusing = [row for row in all_rows() if any("code" in each for each in row["variants"])]
    assert refusing == all_rows()


def test_ids_of_rows_are_unique() -> None:
    ids = Counter(row["id"] for row in all_rows())
    assert [each for each, count in ids.items() if count > 1] == []


def test_page_is_made_of_the_rows() -> None:
    page = PAGE.read_text()
    assert tuple(re.findall(r"<!-- rows: (\w+) -->", page)) == GROUPS
    assert page == render(page), "run `python -m tests.issuer_shapes.page`"
