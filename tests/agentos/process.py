"""The example, as a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx
import pytest

from tests.agentos.systems import EXAMPLES
from tests.issuers.ports import LOOPBACK, HeldPort

sys.path.insert(0, str(EXAMPLES))

import custom_scope_mappings as example

PATIENCE = 60.0


class Process:
    """The example, started as a user starts it; a context manager.

    It lies in *examples*, and writes to *folder*.
    """

    def __init__(
        self, folder: Path, *arguments: str, examples: Path = EXAMPLES, **environment: str
    ) -> None:
        self._port = HeldPort()
        self.url = f"http://{LOOPBACK}:{self._port.number}"
        self.log = folder / "example.log"
        settings = {
            **{k: v for k, v in os.environ.items() if k not in example.GATE_VARIABLES},
            "DATABASE_URL": f"sqlite:///{folder / 'example.db'}",
            "OPENAI_API_KEY": "",
            **environment,
        }
        script = "custom_scope_mappings.py"
        command = [sys.executable, script, "--port", str(self._port.number), *arguments]
        with self.log.open("w") as log:
            # In a group of its own, so that what it starts ends with it.
            self._process = subprocess.Popen(
                command, cwd=examples, env=settings, stdout=log, stderr=log, start_new_session=True
            )

    def __enter__(self) -> Self:
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._port.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
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
