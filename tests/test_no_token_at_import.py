"""No module of the tests mints a token when it is imported, which may be too old for its test.

Every module is imported, in a process of its own, while a profiler sees each call to the clock of
the machine, however it is spelled. A token of a fixed time, for a verifier that is given its clock,
needs no clock. What a fixture or a cache holds for long is not seen here.
"""

import importlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
OWN = tuple(f"{ROOT / folder}/" for folder in ("tests", "examples", "fastapi_scopes"))
CLOCKS: tuple[Callable[..., Any], ...] = (time.time, time.time_ns, time.gmtime, time.localtime)


def is_clock(function: Any) -> bool:
    owner = getattr(function, "__self__", None)
    is_of_dates = isinstance(owner, type) and issubclass(owner, date)
    return function in CLOCKS or (is_of_dates and function.__name__ in {"now", "utcnow", "today"})


def importing_line(frame: FrameType | None) -> str | None:
    """Return the line at which a module of ours was; None for those of other packages."""
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    if frame is None or not frame.f_code.co_filename.startswith(OWN):
        return None
    return f"{frame.f_code.co_filename.removeprefix(f'{ROOT}/')}:{frame.f_lineno}"


@contextmanager
def watched_clock() -> Iterator[list[str]]:
    """Gather the lines of our modules that have the clock read as they are imported."""
    lines: list[str] = []

    def look(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and is_clock(function) and (line := importing_line(frame)):
            lines.append(line)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield lines
    finally:
        sys.setprofile(before)


def test_no_module_reads_the_clock_when_it_is_imported() -> None:
    command = [sys.executable, "-m", "tests.test_no_token_at_import"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


SOURCES = {
    "constant": ("TOKEN = mint('x')", True),
    "attribute": ("class Caller:\n    headers = bearer('x')", True),
    "default": ("def ask(token=mint('x')): ...", True),
    "table": ("TOKENS = {scope: mint(scope) for scope in 'ab'}", True),
    "parameter": ("@pytest.mark.parametrize('token', [mint('x')])\ndef test(token): ...", True),
    "time": ("from time import time as now\nEND = now() + 600", True),
    "date": ("from datetime import UTC, datetime\nEND = datetime.now(UTC)", True),
    "another-package": ("from email.utils import formatdate\nDATE = formatdate()", True),
    "function": ("def token(): return mint('x')\nMAKERS = [token, lambda: mint('y')]", False),
    "fixed-time": ("from tests.verifiers import minting\nTOKEN = minting.mint()", False),
}


@pytest.mark.parametrize(("source", "is_read"), SOURCES.values(), ids=SOURCES)
def test_what_reads_the_clock_is_told_from_what_does_not(source: str, is_read: bool) -> None:
    imports = "import pytest\nfrom tests.apps import bearer, mint\n"
    with watched_clock() as lines:
        exec(compile(imports + source, __file__, "exec"), {})  # noqa: S102
    assert bool(lines) is is_read


def import_all() -> None:
    for path in sorted(ROOT.glob("tests/**/*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        # What is there is read by type checkers alone.
        if not name.startswith("tests.typing."):
            importlib.import_module(name)


if __name__ == "__main__":
    with watched_clock() as found:
        import_all()
    sys.stdout.writelines(f"{each} reads the clock when it is imported\n" for each in found)
