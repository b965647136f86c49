"""Type checkers see the claims model through verifier and guard, and the lazy root names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "mypy": ["mypy", "--strict", "--cache-dir=/dev/null", "--config-file="],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


def lines_with_errors(checker: str, path: str) -> set[int]:
    command = [sys.executable, "-m", *COMMANDS[checker], path]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    pattern = rf"{re.escape(Path(path).name)}:(\d+)[^\n]*error"
    return {int(line) for line in re.findall(pattern, ran.stdout)}


@pytest.mark.parametrize("checker", COMMANDS)
def test_options_that_are_wrong_are_errors_to_a_checker(checker: str) -> None:
    path = "tests/typing/algorithms.py"
    lines = (ROOT / path).read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, start=1) if line.endswith("# wrong")}
    assert wrong
    assert lines_with_errors(checker, path) == wrong


@pytest.mark.parametrize("checker", COMMANDS)
@pytest.mark.parametrize("module", ["claims_model", "root_names"])
def test_module_is_typed_through(module: str, checker: str) -> None:
    command = [sys.executable, "-m", *COMMANDS[checker], f"tests/typing/{module}.py"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
