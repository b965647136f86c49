"""Type checkers see the claims model through verifier and guard, and the lazy root names."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "mypy": ["mypy", "--strict", "--cache-dir=/dev/null", "--config-file="],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


@pytest.mark.parametrize("checker", COMMANDS)
@pytest.mark.parametrize("module", ["claims_model", "root_names"])
def test_module_is_typed_through(module: str, checker: str) -> None:
    command = [sys.executable, "-m", *COMMANDS[checker], f"tests/typing/{module}.py"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
