"""Type checkers see the claims model through verifier and guard."""

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
def test_claims_model_is_typed_through(checker: str) -> None:
    command = [sys.executable, "-m", *COMMANDS[checker], "tests/typing/claims_model.py"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
