"""docs/refused.md has a heading for each reason that a line in the log may name."""

import re

import pytest

from fastapi_scopes.core.decisions import Reason
from fastapi_scopes.errors import CredentialsError, TokenFault, VerifierUnavailable
from fastapi_scopes.events import PAGE
from tests.pages import FENCE, ROOT, run_python

ALLOWING = {Reason.PUBLIC, Reason.ANONYMOUS, Reason.AUTHENTICATED, Reason.GRANTED}
REFUSING = [
    *(each.value for each in Reason if each not in ALLOWING),
    *(each.value for each in TokenFault),
    CredentialsError.code.value,
    VerifierUnavailable.code.value,
]
HEADINGS = re.findall(r"^### (\w+)$", (ROOT / PAGE).read_text(), re.MULTILINE)


def test_headings_are_the_reasons() -> None:
    assert sorted(HEADINGS) == sorted(REFUSING)


@pytest.mark.parametrize("heading", HEADINGS)
def test_each_reason_is_explained(heading: str) -> None:
    text = (ROOT / PAGE).read_text().partition(f"### {heading}\n")[2].partition("\n#")[0]
    assert len(text.split()) >= 5


def test_explanation_on_the_page_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run_python(ROOT / PAGE)
    shown = next(
        text
        for language, text in FENCE.findall((ROOT / PAGE).read_text())
        if language == "text" and text.startswith("POST ")
    )
    assert capsys.readouterr().out == shown.replace("(main.run)", "(refused.run)")
