"""tests/README.md leads from every module of the package to tests, and what it names is there."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "fastapi_scopes"
PAGE = (TESTS / "README.md").read_text()
ROW = re.compile(r"^\| `([\w/]+(?:\.py|/))` \| (`.+`) \|$", re.MULTILINE)
MODULES = {name for name, _ in ROW.findall(PAGE)}


def test_every_module_has_a_row_or_one_of_its_folder() -> None:
    paths = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")]
    missing = [
        str(path) for path in paths if str(path) not in MODULES and f"{path.parent}/" not in MODULES
    ]
    assert missing == []


def test_every_module_that_is_named_is_there() -> None:
    assert [name for name in MODULES if not (PACKAGE / name).exists()] == []


def test_every_file_that_is_named_is_there() -> None:
    named = re.findall(r"`((?:\w+/)?\w+\.py)`", PAGE.partition("## From module to test")[2])
    assert len(named) > 100
    assert [name for name in named if not (TESTS / name).exists() and name not in MODULES] == []
