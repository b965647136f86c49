"""Which rows of a test function always run: those of every value, and about a sixth."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from tests.thinning import LARGE, ONE_IN, rows_that_always_run

ROOT = Path(__file__).parents[1]
SOURCE = f"""
import pytest

@pytest.mark.parametrize("door", ["front", "back"])
@pytest.mark.parametrize(("attack", "answer"), [(f"a{{n}}", n % 3) for n in range({LARGE})])
def test_product_of_marks(attack, answer, door): ...

PLACES, WAYS = range(12), range(7)

@pytest.mark.parametrize(("place", "way"), [(p, w) for p in PLACES for w in WAYS])
def test_product_in_one_mark(place, way): ...

@pytest.mark.parametrize(("attack", "answer"), [(f"a{{n}}", n % 3) for n in range(2 * {LARGE})])
def test_table(attack, answer): ...

@pytest.mark.parametrize("a", range({LARGE} // 4))
@pytest.mark.parametrize("b", range(4))
def test_small_product(a, b): ...

def test_single(): ...
"""
SIZES = {
    "test_product_of_marks": 2 * LARGE,
    "test_product_in_one_mark": 84,
    "test_table": 2 * LARGE,
    "test_small_product": LARGE // 4 * 4,
    "test_single": 1,
}
WHOLE = ("test_table", "test_small_product", "test_single")


Choose = Callable[..., list[str]]


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Choose:
    """Gives the rows that pytest would run with some arguments."""
    folder = tmp_path_factory.mktemp("thinned")
    (folder / "test_rows.py").write_text(SOURCE)
    (folder / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tests.conftest import *\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  full\n  fast\n")

    @functools.cache
    def chosen(*arguments: str) -> list[str]:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments]
        ran = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return [line.partition("::")[2] for line in ran.stdout.splitlines() if "::" in line]

    return chosen


def number_of(rows: list[str], function: str) -> int:
    return sum(row.partition("[")[0] == function for row in rows)


def test_each_row_runs_once_by_default_or_with_full(chosen: Choose) -> None:
    always, rest = chosen(), chosen("-m", "full")
    everything = chosen("-m", "full or not full")
    assert sorted(always + rest) == sorted(everything)
    assert {name: number_of(everything, name) for name in SIZES} == SIZES


def test_products_are_thinned_and_nothing_else(chosen: Choose) -> None:
    always = chosen()
    assert [number_of(always, name) for name in WHOLE] == [SIZES[name] for name in WHOLE]
    assert number_of(always, "test_product_of_marks") < 1.5 * LARGE
    assert 12 <= number_of(always, "test_product_in_one_mark") < 40


def test_every_attack_of_a_product_runs(chosen: Choose) -> None:
    rows = [row for row in chosen() if row.startswith("test_product_of_marks")]
    attacks = {row.partition("[")[2].split("-")[0] for row in rows}
    assert attacks == {f"a{number}" for number in range(LARGE)}


@pytest.mark.parametrize(
    "named", [("-k", "test_product_in_one_mark"), ("test_rows.py::test_product_in_one_mark",)]
)
def test_all_rows_of_what_is_named_run(chosen: Choose, named: tuple[str, ...]) -> None:
    assert number_of(chosen(*named), "test_product_in_one_mark") == 84


def test_row_that_is_named_by_its_id_runs(chosen: Choose) -> None:
    row = chosen("-m", "full")[0]
    assert chosen(f"test_rows.py::{row}") == [row]


def test_choice_depends_on_the_ids_alone() -> None:
    rows = {f"test[{a}-{b}]": (a, b) for a, b in product(range(20), repeat=2)}
    always = rows_that_always_run(rows)
    assert rows_that_always_run(dict(reversed(rows.items()))) == always
    assert len(rows) / ONE_IN / 2 < len(always) < len(rows) / ONE_IN * 2
