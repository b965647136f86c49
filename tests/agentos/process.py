"""The example, as a process of its own."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.agentos.systems import EXAMPLES

sys.path.insert(0, str(EXAMPLES))

import custom_scope_mappings as example


class Process:
    """The example, started as a user starts it."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = folder / "example.log"
        settings = {
            **{k: v for k, v in os.environ.items() if k not in example.GATE_VARIABLES},
            "DATABASE_URL": f"sqlite:///{folder / 'example.db'}",
            "OPENAI_API_KEY": "",
            **environment,
        }
        command = [sys.executable, "custom_scope_mappings.py", "--port", self.url[17:], *arguments]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=EXAMPLES, env=settings, stdout=log, stderr=log
            )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{self.url}/health")
            except httpx.TransportError:
                assert self._process.poll() is None, self.log.read_text()
                time.sleep(0.2)
            else:
                return
        pytest.fail(self.log.read_text())

    @property
    def tokens(self) -> dict[str, str]:
        found = re.findall(r"^export (\w+)_TOKEN=(\S+)$", self.log.read_text(), re.MULTILINE)
        return {name.lower(): token for name, token in found}

    def headers_of(self, caller: str) -> dict[str, str]:
        if caller == "none":
            return {}
        return {"Authorization": f"Bearer {self.tokens.get(caller, 'x.y.z')}"}

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
