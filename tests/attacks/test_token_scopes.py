"""A token grants what its one configured claim says, and nothing by another name."""

from typing import Any

import pytest
from pydantic import ConfigDict

from fastapi_scopes.core.claims import Claims
from tests.verifiers.minting import mint
from tests.verifiers.verifying import make_verifier, verdict, verified


class PopulatedByName(Claims):
    model_config = ConfigDict(populate_by_name=True)


SMUGGLED: dict[str, dict[str, Any]] = {
    "scopes": {"scopes": ["admin"]},
    "scopes-text": {"scopes": "admin"},
    "scopes-number": {"scopes": 1},
    "scp": {"scp": ["admin"]},
    "permissions": {"permissions": ["admin"], "roles": ["admin"]},
    "internals": {"__pydantic_extra__": {"scopes": ["admin"]}, "model_config": {}},
    "nested": {"claims": {"scopes": ["admin"]}},
}


@pytest.mark.parametrize("model", [Claims, PopulatedByName])
@pytest.mark.parametrize("claims", SMUGGLED.values(), ids=SMUGGLED)
def test_claim_named_scopes_grants_nothing(claims: dict[str, Any], model: type[Claims]) -> None:
    verifier = make_verifier(claims_model=model)

    assert verified(verifier, mint(**claims)).scopes == {"a:read", "b"}
    assert verified(verifier, mint(**claims, without=("scope",))).scopes == frozenset()


def test_claim_twice_grants_nothing() -> None:
    token = mint('{"exp":1800000600,"scope":"a","scope":"a admin"}')

    assert verdict(make_verifier(), token) == "payload"


def test_text_that_python_would_split_grants_nothing() -> None:
    for space in "\u00a0\u1680\u2003\u2028\u3000\x1c\x1d\x1e\x1f\x85\t\n\x0b\x0c\r":
        assert verdict(make_verifier(), mint(scope=f"a{space}admin")) == "scopes"
