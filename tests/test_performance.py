"""The performance page agrees with the figures that it is made of."""

import json

import pytest

from benchmarks.figures import Comparison
from benchmarks.page import RESULTS, WORDS, pages
from benchmarks.peers.driver import without_scope
from benchmarks.plot import steps_to
from benchmarks.tokens import AUDIENCE, SCOPE

ROUNDS = {
    "bare": [1.0, 2.0, 1.0, 1.0],
    "row": [1.5, 3.0, 1.5, 1.5],
    "part": [0.25, 0.5, 0.25, 0.25],
}


def test_page_and_plots_are_made_of_the_figures_that_are_committed() -> None:
    made = pages(json.loads(RESULTS.read_text()), WORDS.read_text())
    stale = [file.name for file, text in made.items() if file.read_text() != text]

    assert stale == [], "run `python -m benchmarks.page`"


@pytest.mark.parametrize(
    ("options", "unit", "value"),
    [
        pytest.param({"minus": ("bare",)}, "B", 0.5, id="added"),
        pytest.param({"minus": ("bare", "part")}, "B", 0.25, id="added-beyond-a-part"),
        pytest.param({}, "x", 1.5, id="ratio"),
        pytest.param({"over": "part"}, "x", 6.0, id="ratio-over-another-row"),
    ],
)
def test_a_round_that_is_slow_as_a_whole_changes_nothing(options, unit, value) -> None:
    figure = Comparison("table", "name", "row", **options).figure(ROUNDS)

    assert (figure.unit, figure.value) == (unit, value)
    assert figure.low == figure.high == value


@pytest.mark.parametrize(
    ("limit", "is_at_least", "holds"),
    [
        pytest.param(1.5, False, True, id="at-most"),
        pytest.param(1.4, False, False, id="more"),
        pytest.param(1.5, True, True, id="at-least"),
        pytest.param(1.6, True, False, id="less"),
        pytest.param(None, False, None, id="no-limit"),
    ],
)
def test_a_limit_holds_up_to_itself(limit, is_at_least, holds) -> None:
    compared = Comparison("table", "name", "row", limit=limit, is_at_least=is_at_least)

    assert compared.figure(ROUNDS).holds is holds


@pytest.mark.parametrize("top", [0.3, 1.0, 3.3, 14.2, 800.0])
def test_the_axis_of_a_plot_covers_what_is_drawn_in_few_steps(top) -> None:
    steps = steps_to(top)

    assert steps[0] == 0
    assert steps[-1] >= top
    assert len(steps) <= 10


@pytest.mark.parametrize("value", [SCOPE, [SCOPE], ["openid", SCOPE]])
def test_packages_are_asked_with_a_token_that_lacks_the_scope_in_any_claim(value) -> None:
    lacking = without_scope({"aud": AUDIENCE, "exp": 1, "scope": value})

    assert SCOPE not in lacking["scope"]
    assert (lacking["aud"], lacking["exp"]) == (AUDIENCE, 1)
