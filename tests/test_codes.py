"""Each code of an error, a refusal or a finding is explained, once, in docs/errors.md."""

import re
from collections import Counter
from enum import StrEnum
from pathlib import Path

import pytest

import fastapi_scopes
from fastapi_scopes.core.findings import FindingCode
from fastapi_scopes.core.problems import ProblemCode
from fastapi_scopes.errors import (
    ConfigurationError,
    CredentialsError,
    ErrorCode,
    TokenError,
    TokenFault,
    VerifierUnavailable,
)

ROOT = Path(__file__).parents[1]
ANCHORS = Counter(re.findall(r'<a id="(\w+-\w+)"></a>', (ROOT / "docs/errors.md").read_text()))
CODES = {"error": ErrorCode, "token": TokenFault, "problem": ProblemCode, "finding": FindingCode}


def test_each_code_has_one_anchor_and_each_anchor_its_code() -> None:
    codes = (f"{kind}-{code.value}" for kind, codes in CODES.items() for code in codes)
    assert Counter(codes) == ANCHORS


@pytest.mark.parametrize("codes", CODES.values(), ids=CODES)
def test_each_code_is_used(codes: type[StrEnum]) -> None:
    # Where it is installed, which need not be here.
    package = Path(fastapi_scopes.__file__).parent
    sources = "".join(path.read_text() for path in package.rglob("*.py"))
    assert [each for each in codes if f"{codes.__name__}.{each.name}" not in sources] == []


def test_error_has_its_code() -> None:
    assert ConfigurationError().code is ErrorCode.CONFIGURATION
    assert CredentialsError().code is ErrorCode.MALFORMED_CREDENTIALS
    assert VerifierUnavailable().code is ErrorCode.VERIFIER_UNAVAILABLE
    assert TokenError(TokenFault.EXPIRED).code is TokenFault.EXPIRED
