"""What all tests load is light: those of the core are there at once."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = {"cryptography", "fastapi", "httpx", "jose", "starlette", "uvicorn"}


def test_conftest_loads_neither_a_server_nor_a_framework() -> None:
    code = "import sys, tests.conftest; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not HEAVY & set(ran.stdout.split())
